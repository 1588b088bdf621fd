package main

import "time"

// sizes are how much is measured.
type sizes struct {
	// rate is of pods a second, kept up for paced.
	rate  int
	paced time.Duration
	// burst pods are created as fast as creators can; each contender has its
	// turn rounds times.
	burst, rounds int
	// calm is how long a pause between two measurements may take at most.
	calm time.Duration
	// admissions of each kind are measured in blocks, with and without webhooks
	// in turn.
	blocks, admissions int
	// coldSecrets UserSecrets on coldUsers users are there at a cold start.
	coldSecrets, coldUsers, coldStarts int
	// rotated UserSecrets are sealed again in a rotation.
	rotated int
	// users are those of the shapes with several.
	users int
}

var full = sizes{
	rate: 20, paced: 30 * time.Second, burst: 1000, rounds: 3, calm: 30 * time.Second,
	blocks: 3, admissions: 400, coldSecrets: 5000, coldUsers: 50, coldStarts: 3, rotated: 2000, users: 10,
}

var small = sizes{
	rate: 20, paced: 2 * time.Second, burst: 60, rounds: 1, calm: 2 * time.Second,
	blocks: 1, admissions: 40, coldSecrets: 100, coldUsers: 5, coldStarts: 1, rotated: 60, users: 3,
}

// creators create the pods of a burst side by side.
const creators = 32

// patience bounds the wait for the last Secret of a measurement.
const patience = 3 * time.Minute
