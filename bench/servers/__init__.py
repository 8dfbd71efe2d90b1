"""What flags cost a web server end to end: two servers, a load generator, and what compares the loads."""
