"""Recommendations for sessions."""
