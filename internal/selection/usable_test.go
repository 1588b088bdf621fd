package selection_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/selection"
)

func TestUsable(t *testing.T) {
	tests := map[string]struct {
		secret  userSecret
		wantErr error
	}{
		"active is unset":     {secret: makeSecret("a")},
		"active":              {secret: makeSecret("a").active(true)},
		"inactive":            {secret: makeSecret("a").active(false), wantErr: selection.ErrInactive},
		"expires in a moment": {secret: makeSecret("a").expires(time.Nanosecond)},
		"expires now":         {secret: makeSecret("a").expires(0), wantErr: selection.ErrExpired},
		"expired":             {secret: makeSecret("a").expires(-time.Nanosecond), wantErr: selection.ErrExpired},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := selection.Usable(tt.secret.UserSecret, noon); !errors.Is(err, tt.wantErr) {
				t.Errorf("error %v, want %v", err, tt.wantErr)
			}
		})
	}
}

func TestRival(t *testing.T) {
	us := makeSecret("m")
	tests := map[string]struct {
		others []userSecret
		want   string
	}{
		"alone":                 {},
		"older":                 {others: []userSecret{makeSecret("z").aged(2 * time.Hour)}, want: "z"},
		"younger":               {others: []userSecret{makeSecret("a").aged(time.Minute)}, want: "a"},
		"the oldest of several": {others: []userSecret{makeSecret("a"), makeSecret("z").aged(2 * time.Hour)}, want: "z"},
		"inactive":              {others: []userSecret{makeSecret("a").active(false)}},
		"expired":               {others: []userSecret{makeSecret("a").expires(0)}},
		"deleted":               {others: []userSecret{makeSecret("a").deleted()}},
		"another type":          {others: []userSecret{makeSecret("a").of("openai", v1alpha1.TypeCustom)}},
		"another provider":      {others: []userSecret{makeSecret("a").of("slack", v1alpha1.TypeAPIKey)}},
		"one that counts":       {others: []userSecret{makeSecret("a").active(false), makeSecret("b").deleted(), makeSecret("c")}, want: "c"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := ""
			if rival := selection.Rival(us.UserSecret, objects(append(tt.others, us)...), noon); rival != nil {
				got = rival.Name
			}
			if got != tt.want {
				t.Errorf("rival is %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCandidatesAreInOrder(t *testing.T) {
	list := objects(makeSecret("c"), makeSecret("x").of("slack", v1alpha1.TypeAPIKey), makeSecret("b"), makeSecret("d").aged(2*time.Hour), makeSecret("e").deleted())
	var names []string
	for _, us := range selection.Candidates(list, "openai", v1alpha1.TypeAPIKey) {
		names = append(names, us.Name)
	}
	if got := strings.Join(names, " "); got != "d b c" {
		t.Errorf("candidates are %s, want d b c", got)
	}
}
