package webhook

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

func (c *cluster) remove(req admission.Request) admission.Response {
	return (&remover{vault: c.vault}).Handle(context.Background(), req)
}

func deletion(t *testing.T, user string) admission.Request {
	t.Helper()
	return makeRequest(t, user, nil, makeSecret("openai").sealed("us1.v1-00000000.AAAA"))
}

func TestDelete(t *testing.T) {
	down := func(string, any) error { return errors.New("the API server is down") }
	tests := map[string]struct {
		user, namespace string
		fail            func(string, any) error
		owner           string
		want            string // a refusal
	}{
		"the owner":          {user: "alice", owner: "alice"},
		"a delegate":         {user: gitops, owner: "alice"},
		"the operator":       {user: operator, owner: "alice"},
		"a stranger":         {user: "bob", owner: "alice", want: strangerMessage},
		"nobody":             {user: "system:anonymous", owner: "alice", want: strangerMessage},
		"a namespace goes":   {user: "system:serviceaccount:kube-system:namespace-controller", owner: "alice"},
		"an owner goes":      {user: "system:serviceaccount:kube-system:generic-garbage-collector", owner: "alice"},
		"controller manager": {user: "system:kube-controller-manager", owner: "alice"},
		"the API server":     {user: "system:apiserver", owner: "alice"},
		"another controller": {user: "system:serviceaccount:kube-system:job-controller", owner: "alice", want: strangerMessage},
		"no owner":           {user: "bob", namespace: "unowned"},
		"no namespace":       {user: "bob", namespace: "nowhere"},
		"out of reach":       {user: "alice", fail: down, want: `reading namespace "alice-flows": the API server is down`},
		"review fails": {user: "bob", owner: "alice", want: `asking whether "bob" may delegate: the API server is down`, fail: func(verb string, _ any) error {
			if verb == "create" {
				return errors.New("the API server is down")
			}
			return nil
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := makeCluster(t)
			c.fail = tt.fail
			req := deletion(t, tt.user)
			if tt.namespace != "" {
				req.Namespace = tt.namespace
			}
			if tt.want != "" {
				c.checkRefused(req, c.remove(req), tt.owner, tt.want)
				return
			}
			c.checkAllowed(req, c.remove(req))
			c.checkRecorded(allowedOf(t, req, tt.owner))
		})
	}
}

// A request to delete a collection names no object; who is asked about, and what
// is recorded, is each object of it all the same.
func TestDeleteOfACollection(t *testing.T) {
	c := makeCluster(t)
	req := deletion(t, "bob")
	req.Name = ""
	resp := c.remove(req)
	req.Name = "openai"
	c.checkRefused(req, resp, "alice", strangerMessage)
	if len(c.reviews) != 1 || c.reviews[0].ResourceAttributes.Name != "openai" {
		t.Errorf("asked about %v", c.reviews)
	}
}

func TestDeleteDryRun(t *testing.T) {
	c := makeCluster(t)
	dry := true
	for _, user := range []string{"alice", "bob"} {
		req := deletion(t, user)
		req.DryRun = &dry
		if resp := c.remove(req); resp.Allowed != (user == "alice") {
			t.Errorf("%s: allowed %t", user, resp.Allowed)
		}
	}
	c.checkRecorded()
}

func TestDeleteMalformedRequest(t *testing.T) {
	c := makeCluster(t)
	req := deletion(t, "alice")
	req.OldObject.Raw = []byte(`{"spec":"` + canary + `"}`)
	resp := complete(t, req, c.remove(req))
	if resp.Allowed || resp.Result.Code != http.StatusBadRequest || resp.Result.Message != "the object is no UserSecret" {
		t.Errorf("allowed %t, result %v", resp.Allowed, resp.Result)
	}
}
