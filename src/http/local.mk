# http: see contrib/HACKING.md
