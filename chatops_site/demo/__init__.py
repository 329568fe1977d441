"""`python -m chatops_site.demo`: a whole portal between stand-ins, on loopback and in var/demo."""
