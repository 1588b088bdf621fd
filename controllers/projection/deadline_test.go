package projection

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"usersecrets.dev/operator/api/v1alpha1"
)

// A request about a Secret that is never answered ends by itself, and the next look
// makes it good.
func TestRequestsAboutSecretsEnd(t *testing.T) {
	changed := changes("db", func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = sealed("db", "two") })
	two := map[string]string{"DB": "two"}
	for verb, tc := range map[string]struct {
		issued   bool
		happens  func(*cluster)
		wantData map[string]string
	}{
		"create": {false, func(*cluster) {}, one},
		"look":   {true, changed, two},
		"update": {true, changed, two},
		"delete": {true, ends("p", corev1.PodSucceeded), nil},
	} {
		t.Run(verb, func(t *testing.T) {
			withScene(t, func(s *scene) {
				if tc.issued {
					s.must(t, "p")
				}
				tc.happens(s.cluster)
				hang := true
				s.process.fault = func(ctx context.Context, r request) (error, error) {
					if r.verb != verb || !hang {
						return nil, nil
					}
					hang = false
					select {
					case <-ctx.Done():
						return ctx.Err(), nil
					case <-time.After(time.Hour):
						return errBusy, nil
					}
				}
				start := time.Now()
				if err := s.fails(); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v, want %v", err, context.DeadlineExceeded)
				}
				if took := time.Since(start); took != requestTimeout {
					t.Errorf("it took %v, want %v", took, requestTimeout)
				}
				s.must(t, "p")
				s.holds(tc.wantData)
				s.counts(1)
			})
		})
	}
}
