"""`python -m bench`: what an evaluation costs and where. Not part of the installed package."""
