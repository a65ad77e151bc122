# proc: see contrib/HACKING.md
