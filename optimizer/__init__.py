"""Workloads and offers in, checked placement plans out."""
