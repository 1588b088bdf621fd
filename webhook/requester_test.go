package webhook

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
)

func TestStanding(t *testing.T) {
	tests := map[string]struct {
		user, owner string
		want        standing
		wantAsked   bool
	}{
		"owner":                   {user: "alice", owner: "alice", want: isOwner},
		"operator":                {user: operator, owner: "alice", want: isOperator},
		"delegate":                {user: gitops, owner: "alice", want: isDelegate, wantAsked: true},
		"stranger":                {user: "bob", owner: "alice", want: stranger, wantAsked: true},
		"other case":              {user: "Alice", owner: "alice", want: stranger, wantAsked: true},
		"the operator as owner":   {user: operator, owner: operator, want: isOwner},
		"a delegate as the owner": {user: gitops, owner: gitops, want: isOwner},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := makeCluster(t)
			got, err := c.vault.requesters.standingOf(context.Background(), authenticationv1.UserInfo{Username: tt.user}, tt.owner, namespace, "openai")
			if err != nil || got != tt.want || (len(c.reviews) == 1) != tt.wantAsked {
				t.Errorf("standing %d, error %v, asked %d times; want %d", got, err, len(c.reviews), tt.want)
			}
		})
	}
}

// The whole user is asked about: a group, or a scope of a token, may decide.
func TestReviewCarriesTheUser(t *testing.T) {
	c := makeCluster(t)
	user := authenticationv1.UserInfo{
		Username: "bob", UID: "7", Groups: []string{"ml", "system:authenticated"},
		Extra: map[string]authenticationv1.ExtraValue{"scopes": {"a", "b"}},
	}
	if got, err := c.vault.requesters.standingOf(context.Background(), user, "alice", namespace, "openai"); err != nil || got != stranger {
		t.Fatalf("standing %d, error %v", got, err)
	}
	want := []authorizationv1.SubjectAccessReviewSpec{{
		User: "bob", UID: "7", Groups: []string{"ml", "system:authenticated"},
		Extra: map[string]authorizationv1.ExtraValue{"scopes": {"a", "b"}},
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: "delegate", Group: "usersecrets.dev", Version: "v1alpha1", Resource: "usersecrets", Name: "openai",
		},
	}}
	if diff := cmp.Diff(want, c.reviews); diff != "" {
		t.Errorf("reviews (-want +got):\n%s", diff)
	}
}
