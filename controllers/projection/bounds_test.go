package projection

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/inject"
	"usersecrets.dev/operator/internal/secretvalue"
)

// annotate changes an annotation of p; an empty value removes it.
func (s *scene) annotate(key, value string) {
	s.cluster.do(func() {
		annotations := s.cluster.pods[inNamespace("p")].Annotations
		if annotations[key] = value; value == "" {
			delete(annotations, key)
		}
	})
}

// A projection that is there is held to its bounds where the pod's request, as
// after an upgrade, is not read as it was.
func TestUnreadableRequest(t *testing.T) {
	unreadable := func(s *scene) { s.annotate(v1alpha1.AnnotationPrefix+"unheard-of", "x") }
	for name, tc := range map[string]struct {
		ttl       string
		happens   func(*scene)
		wantData  map[string]string
		wantAgain time.Duration
	}{
		"nothing else":           {"", unreadable, one, day},
		"its own TTL holds":      {"1h", func(s *scene) { unreadable(s); after(time.Hour) }, map[string]string{}, 0},
		"the operator's holds":   {"", func(s *scene) { unreadable(s); after(day) }, map[string]string{}, 0},
		"also where lowered":     {"2h", func(s *scene) { s.Limits.MaxTTL = time.Hour; after(time.Hour) }, map[string]string{}, 0},
		"switched off":           {"", func(s *scene) { unreadable(s); switches("db", false)(s.cluster) }, map[string]string{}, day},
		"no list":                {"", func(s *scene) { s.annotate(v1alpha1.InjectAnnotation, ""); switches("db", false)(s.cluster) }, map[string]string{}, day},
		"a TTL that is no TTL":   {"", func(s *scene) { s.annotate(v1alpha1.TTLAnnotation, "soon"); after(day) }, map[string]string{}, 0},
		"and one that is absurd": {"", func(s *scene) { s.annotate(v1alpha1.TTLAnnotation, "-1h"); after(time.Hour) }, one, day - time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			withScene(t, func(s *scene) {
				s.annotate(v1alpha1.TTLAnnotation, tc.ttl)
				s.must(t, "p")
				tc.happens(s)
				if again := s.must(t, "p"); again != tc.wantAgain {
					t.Errorf("to be looked at again in %v, want %v", again, tc.wantAgain)
				}
				s.holds(tc.wantData)
			})
		})
	}
}

// A pod that did not go through our admission gets nothing, and counts nowhere.
func TestUnpreparedPod(t *testing.T) {
	for name, projection := range map[string]string{"no projection": "", "of another name": "my-secret"} {
		t.Run(name, func(t *testing.T) {
			withScene(t, func(s *scene) {
				s.annotate(v1alpha1.ProjectionAnnotation, projection)
				s.must(t, "p")
				s.writes()
				if diff := cmp.Diff([]string{"p Warning WaitingForSecret: " + errUnprepared.Error()}, s.events.take()); diff != "" {
					t.Errorf("Events (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// The time does not stand still while something cannot be looked at.
func TestBoundsHoldInTrouble(t *testing.T) {
	trouble := func(object string) func(context.Context, request) (error, error) {
		return func(_ context.Context, r request) (error, error) {
			if r.object == object {
				return errBusy, nil
			}
			return nil, nil
		}
	}
	for _, object := range []string{"Namespace/" + namespace, "UserSecretList"} {
		t.Run(object, func(t *testing.T) {
			withScene(t, func(s *scene) {
				s.process.fault = trouble(object)
				_ = s.fails()
				s.writes()
				if lines := s.events.take(); lines != nil {
					t.Errorf("Events %q, want none: this is not the pod's to mend", lines)
				}
				s.process.fault = nil
				s.must(t, "p")
				s.process.fault = trouble(object)
				if err := s.fails(); !errors.Is(err, errBusy) {
					t.Errorf("error %v, want %v", err, errBusy)
				}
				s.holds(one)
				after(day)
				s.must(t, "p")
				s.holds(map[string]string{})
			})
		})
	}
}

// What cannot be looked at does not keep what can from being taken away.
func TestRevocationBesideTrouble(t *testing.T) {
	withScene(t, func(s *scene) {
		stores("key", "two")(s.cluster)
		s.cluster.addPod(makePod("q", "name:db=DB,name:key=KEY"))
		s.must(t, "q")
		switches("key", false)(s.cluster)
		s.process.fault = func(_ context.Context, r request) (error, error) {
			if r.object == "Namespace/"+namespace {
				return errBusy, nil
			}
			return nil, nil
		}
		if _, err := s.reconcile("q"); !errors.Is(err, errBusy) {
			t.Errorf("error %v, want %v", err, errBusy)
		}
		if diff := cmp.Diff(one, values(s.cluster.secret("usersecret-q"))); diff != "" {
			t.Errorf("data (-want +got):\n%s", diff)
		}
	})
}

// A value is issued as what it was sealed as, for the owner of now.
func TestValueDoesNotOpen(t *testing.T) {
	foreign := func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = sealedFor("bob", "db", "bob's") }
	for name, happens := range map[string]func(*cluster){
		"sealed for somebody else": changes("db", foreign),
		"the owner changed":        func(c *cluster) { c.do(func() { c.owners[namespace] = "bob" }) },
		"the owner is gone":        func(c *cluster) { c.do(func() { c.owners[namespace] = "" }) },
		"no sealed value":          changes("db", func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = "us2.x" }),
	} {
		t.Run(name, func(t *testing.T) {
			withScene(t, func(s *scene) {
				s.must(t, "p")
				happens(s.cluster)
				s.must(t, "p")
				s.holds(map[string]string{})
				s.cluster.addPod(makePod("q", "name:db=DB"))
				s.must(t, "q")
				if s.cluster.secret("usersecret-q") != nil {
					t.Error("a pod got a value that does not open")
				}
			})
		})
	}
}

// A key that is not in the vault takes nothing away, and is looked for again.
func TestKeyIsNotAtHand(t *testing.T) {
	other, err := makeVault(101).Seal(envelope.Binding{Owner: "alice", Namespace: namespace, Name: "db"}, secretvalue.FromString("two"))
	if err != nil {
		t.Fatal(err)
	}
	withScene(t, func(s *scene) {
		s.must(t, "p")
		s.cluster.changeValue("db", func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = other })
		if again := s.must(t, "p"); again != keyRetry {
			t.Errorf("to be looked at again in %v, want %v", again, keyRetry)
		}
		s.holds(one)
		s.cluster.addPod(makePod("q", "name:db=DB"))
		if again := s.must(t, "q"); again != keyRetry {
			t.Errorf("to be looked at again in %v, want %v", again, keyRetry)
		}
	})
}

func TestEnvironmentVariables(t *testing.T) {
	withScene(t, func(s *scene) {
		s.annotate(v1alpha1.InjectAsAnnotation, string(inject.AsEnv))
		s.cluster.changeValue("db", func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = sealed("db", "a\x00b") })
		s.must(t, "p")
		s.holds(nil)
		s.cluster.changeValue("db", func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = sealed("db", "one") })
		s.must(t, "p")
		s.holds(one)
	})
}

// Before the policies are in place nothing is issued, asked or read.
func TestGuard(t *testing.T) {
	withScene(t, func(s *scene) {
		s.Guard = func() error { return errors.New("no policies") }
		s.process.fault = func(_ context.Context, r request) (error, error) {
			t.Errorf("%s before the policies are in place", r)
			return nil, nil
		}
		if again := s.must(t, "p"); again != 2*time.Second {
			t.Errorf("to be looked at again in %v, want 2s", again)
		}
	})
}

// The Secret belongs to its pod alone and goes with it.
func TestIssuedSecret(t *testing.T) {
	withScene(t, func(s *scene) {
		s.must(t, "p")
		secret := s.cluster.secret("usersecret-p")
		if secret.Type != v1alpha1.ProjectionSecretType {
			t.Errorf("type %q, want %q", secret.Type, v1alpha1.ProjectionSecretType)
		}
		wantAnnotations := map[string]string{
			v1alpha1.PodNameAnnotation: "p", v1alpha1.PodUIDAnnotation: "uid-p",
			v1alpha1.SourcesAnnotation: `{"DB":{"name":"db","uid":"uid-db"}}`,
		}
		if diff := cmp.Diff(wantAnnotations, secret.Annotations); diff != "" {
			t.Errorf("annotations (-want +got):\n%s", diff)
		}
		if len(secret.OwnerReferences) != 1 {
			t.Fatalf("%d owner references, want 1", len(secret.OwnerReferences))
		}
		owner := secret.OwnerReferences[0]
		if owner.Kind != "Pod" || owner.Name != "p" || owner.UID != "uid-p" || *owner.BlockOwnerDeletion || *owner.Controller {
			t.Errorf("owner %+v, want pod p, which it neither blocks nor is controlled by", owner)
		}
		access := s.cluster.value("db").Status.RecentAccesses[0]
		want := use("p")
		if diff := cmp.Diff(want, access); diff != "" {
			t.Errorf("access (-want +got):\n%s", diff)
		}
	})
}

// A name that is cut to its bound stays text.
func TestActorIsBounded(t *testing.T) {
	long := make([]rune, 300)
	for i := range long {
		long[i] = 'é'
	}
	s := &scope{pod: &corev1.Pod{}}
	s.pod.Annotations = map[string]string{v1alpha1.RequestedByAnnotation: "x" + string(long)}
	if got := s.actor(); len(got) != 511 || got != "x"+string(long[:255]) {
		t.Errorf("actor of %d bytes, want 511: whole characters of at most 512 bytes", len(got))
	}
}
