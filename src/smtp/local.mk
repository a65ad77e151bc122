# smtp: see contrib/HACKING.md
