# smtpd: see contrib/HACKING.md
