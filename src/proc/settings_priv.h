/* settings_priv.h - what the texts among the settings must look like. */
#ifndef SETTINGS_PRIV_H
#define SETTINGS_PRIV_H

#include "proc/settings.h"

extern const struct config_form settings_form_path, settings_form_file,
    settings_form_listen, settings_form_redis, settings_form_servers,
    settings_form_networks, settings_form_host;

#endif
