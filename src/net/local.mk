# net: see contrib/HACKING.md
