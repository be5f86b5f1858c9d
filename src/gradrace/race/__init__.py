"""Races: spec, plan, pairing of seeds, rungs and the one orchestrator."""
