/* proc/title.h - the name of a process in ps and top. */
#ifndef PROC_TITLE_H
#define PROC_TITLE_H

/*
 * Call first in main: moves the environment away, so that the memory behind
 * argv can hold a title. A process that never calls it keeps its name.
 */
void title_init(int argc, char **argv);

/* ps shows "verpost: <what>", top shows its first 15 octets. */
void title_set(const char *what);

#endif
