"""The demo: the programme Redress was made for, at any size, on real servers, with a proof of its figures."""
