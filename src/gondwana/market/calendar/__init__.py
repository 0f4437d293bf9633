"""What is promised of machines ahead: reservations of tenants, maintenance of owners."""
