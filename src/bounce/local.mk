# bounce: see contrib/HACKING.md
