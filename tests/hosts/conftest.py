"""Tests on real container engines."""
