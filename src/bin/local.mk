# bin: see contrib/HACKING.md
