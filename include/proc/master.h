/*
 * proc/master.h - "verpost serve": binds the ports, forks the roles, starts
 * again what dies, and ends them in order.
 *
 * SIGTERM, SIGINT  drain everything, then end; a second one kills
 * SIGHUP           read the settings again; restart child after child
 * SIGUSR1          debug lines on or off, in all children
 */
#ifndef PROC_MASTER_H
#define PROC_MASTER_H

#include "base/error.h"
#include "proc/settings.h"

/*
 * Runs until it is told to stop. settings: taken, also on failure.
 * config_path: where they came from, for SIGHUP.
 * Returns 0 after an orderly end; -1 with err when it could not start.
 */
int master_run(struct settings *settings, const char *config_path,
    struct error *err) MUST_CHECK;

#endif
