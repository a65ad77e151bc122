/* engine.h - for the files of the model that look into the real mta. */
#ifndef MODEL_ENGINE_H
#define MODEL_ENGINE_H

/* First: cmocka wants these before it, and knows nothing of the product. */
#include "tests/integration/model/world.h"

#include "delivery/delivery_priv.h"

#endif
