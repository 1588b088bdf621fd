package main

import "testing"

func TestShapeInWords(t *testing.T) {
	for want, s := range map[string]shape{
		"10 users × 100 UserSecrets": {users: 10, secrets: 100},
		"10 users × 1 UserSecret":    {users: 10, secrets: 1},
		"1 user × 1 UserSecret":      {users: 1, secrets: 1},
	} {
		if got := s.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}
