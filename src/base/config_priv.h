/* config_priv.h - values of settings, read and written by their type. */
#ifndef CONFIG_PRIV_H
#define CONFIG_PRIV_H

#include "base/config.h"

/* Stores the value; ERR_CONFIG says what was expected. */
int config_value_set(const struct config_row *row, struct slice value,
    void *settings, struct error *err);
/* As config_value_set would read it. */
void config_value_print(const struct config_row *row, const void *settings,
    struct strbuf *out);
/* "5m .. 1h", or nothing when the row has no bounds. */
void config_range_print(const struct config_row *row, struct strbuf *out);

#endif
