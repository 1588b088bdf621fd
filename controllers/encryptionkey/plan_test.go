package encryptionkey

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/keyring"
)

func TestDecide(t *testing.T) {
	was := func(o *v1alpha1.EncryptionKey) *v1alpha1.EncryptionKey {
		o.Status.KeyID = "v1-00000001"
		return o
	}
	asking := func(o *v1alpha1.EncryptionKey, asked, done string) *v1alpha1.EncryptionKey {
		o.Annotations = map[string]string{v1alpha1.RewrapRequestedAtAnnotation: asked}
		o.Status.RewrapRequest = done
		return o
	}
	going := was(object("v1"))
	going.DeletionTimestamp = &metav1.Time{Time: now}
	key := func(approved time.Duration) *keyring.Key {
		k := &keyring.Key{ID: "v1-00000001", Name: "v1"}
		if approved > 0 {
			k.Removable = now.Add(-approved)
		}
		return k
	}
	for name, tc := range map[string]struct {
		facts facts
		want  plan
	}{
		"nothing is there":                   {facts{}, plan{step: stay}},
		"new":                                {facts{object: object("v1")}, plan{step: makeMaterial}},
		"whole":                              {facts{object: was(object("v1")), key: key(0)}, plan{step: stay}},
		"whole, status not written yet":      {facts{object: object("v1"), key: key(0)}, plan{step: stay}},
		"had material once":                  {facts{object: was(object("v1"))}, plan{step: stay, again: problemRetry}},
		"broken":                             {facts{object: was(object("v1")), problem: keyring.ErrTampered}, plan{step: stay, again: problemRetry}},
		"broken, at hand":                    {facts{object: was(object("v1")), key: key(0), problem: keyring.ErrMaterialLost}, plan{step: stay, again: problemRetry}},
		"broken and asked to be wrapped":     {facts{object: asking(was(object("v1")), "b", ""), key: key(0), problem: errors.New("x")}, plan{step: stay, again: problemRetry}},
		"asked to be wrapped":                {facts{object: asking(was(object("v1")), "b", "a"), key: key(0)}, plan{step: rewrap}},
		"was wrapped as asked":               {facts{object: asking(was(object("v1")), "b", "b"), key: key(0)}, plan{step: stay}},
		"being deleted":                      {facts{object: going, key: key(0)}, plan{step: stay}},
		"vanished":                           {facts{key: key(0)}, plan{step: makeObject}},
		"vanished while active":              {facts{key: key(time.Hour), active: true}, plan{step: makeObject}},
		"deleted with approval":              {facts{key: key(time.Minute)}, plan{step: stay, again: removalGrace - time.Minute}},
		"deleted with approval, a while ago": {facts{key: key(removalGrace)}, plan{step: remove}},
		"approved, and just being deleted":   {facts{object: was(object("v1")), key: key(time.Second)}, plan{step: stay, again: approvalTime}},
		"approved, but kept by another":      {facts{object: was(object("v1")), key: key(2 * approvalTime)}, plan{step: withdraw}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.facts.now = now
			if got := decide(tc.facts); got != tc.want {
				t.Errorf("decide = %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestSooner(t *testing.T) {
	for name, tc := range map[string]struct{ a, b, want time.Duration }{
		"never":        {0, 0, 0},
		"the first":    {time.Second, 0, time.Second},
		"the second":   {0, time.Second, time.Second},
		"the shorter":  {time.Minute, time.Second, time.Second},
		"in any order": {time.Second, time.Minute, time.Second},
	} {
		if got := sooner(tc.a, tc.b); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}
