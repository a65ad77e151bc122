# model: see contrib/HACKING.md
