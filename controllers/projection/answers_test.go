package projection

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"usersecrets.dev/operator/api/v1alpha1"
)

// scene is a process that leads in a cluster with the UserSecret db, whose pod p
// came after it.
type scene struct {
	*leader
	t       *testing.T
	cluster *cluster
}

func withScene(t *testing.T, test func(*scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		stores("db", "one")(c)
		s := &scene{leader: c.lead(), t: t, cluster: c}
		s.must(t, "nobody")
		c.addPod(makePod("p", "name:db=DB"))
		test(s)
		checkPromises(t, c)
	})
}

// once makes one call of a verb go wrong.
func (s *scene) once(verb string, before, after error) {
	done := false
	s.process.fault = func(_ context.Context, r request) (error, error) {
		if done || r.verb != verb {
			return nil, nil
		}
		done = true
		return before, after
	}
}

// fails reconciles p, which is an error.
func (s *scene) fails() error {
	s.t.Helper()
	_, err := s.reconcile("p")
	if err == nil {
		s.t.Fatal("reconciling p: no error")
	}
	return err
}

func (s *scene) holds(want map[string]string) {
	s.t.Helper()
	if diff := cmp.Diff(want, values(s.cluster.secret("usersecret-p"))); diff != "" {
		s.t.Errorf("data (-want +got):\n%s", diff)
	}
}

func (s *scene) counts(want int64) {
	s.t.Helper()
	if n := countOf(s.cluster.value("db")); n != want {
		s.t.Errorf("count = %d, want %d", n, want)
	}
}

var one = map[string]string{"DB": "one"}

// The Secret was created and nobody was told: whatever happened since is made
// good at the next look.
func TestLostAnswerOfCreate(t *testing.T) {
	for name, tc := range map[string]struct {
		meanwhile func(*cluster)
		wantData  map[string]string
	}{
		"nothing":         {func(*cluster) {}, one},
		"a new value":     {changes("db", func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = sealed("db", "two") }), map[string]string{"DB": "two"}},
		"switched off":    {switches("db", false), map[string]string{}},
		"deleted":         {func(c *cluster) { c.removeValue("db") }, map[string]string{}},
		"done":            {ends("p", corev1.PodSucceeded), nil},
		"the TTL is over": {func(*cluster) { after(day) }, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			withScene(t, func(s *scene) {
				s.once("create", nil, errBusy)
				if err := s.fails(); !errors.Is(err, errBusy) {
					t.Fatal(err)
				}
				tc.meanwhile(s.cluster)
				s.must(t, "p")
				s.holds(tc.wantData)
				if us := s.cluster.value("db"); us != nil {
					s.counts(1)
				}
			})
		})
	}
}

// Where the name is taken there are two looks in one: ours is found, another's
// is left alone.
func TestNameIsTaken(t *testing.T) {
	withScene(t, func(s *scene) {
		older := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: "usersecret-p", UID: "secret-0", CreationTimestamp: metav1.Now(),
			Annotations: map[string]string{v1alpha1.PodUIDAnnotation: "uid-p", v1alpha1.SourcesAnnotation: `{"DB":{"name":"db","uid":"uid-db"}}`},
		}, Data: map[string][]byte{"DB": []byte("zero")}}
		s.cluster.do(func() { s.cluster.secrets[inNamespace("usersecret-p")] = older })
		s.must(t, "p")
		s.holds(one)
	})
	withScene(t, func(s *scene) {
		other := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: "usersecret-p", UID: "secret-0", Annotations: map[string]string{v1alpha1.PodUIDAnnotation: "uid-other"},
		}}
		s.cluster.do(func() { s.cluster.secrets[inNamespace("usersecret-p")] = other })
		if err := s.fails(); !errors.Is(err, errTaken) {
			t.Errorf("error %v, want %v", err, errTaken)
		}
		s.holds(map[string]string{})
		ends("p", corev1.PodSucceeded)(s.cluster)
		s.must(t, "p")
		if s.cluster.secret("usersecret-p") == nil {
			t.Error("a Secret of another pod was deleted")
		}
	})
}

// An update whose answer was lost was carried out or not; the next look asks.
func TestLostAnswerOfUpdate(t *testing.T) {
	two := changes("db", func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = sealed("db", "two") })
	back := changes("db", func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = sealed("db", "one") })
	for name, tc := range map[string]struct {
		before, after error
		meanwhile     func(*cluster)
		wantData      map[string]string
	}{
		"refused":                          {errTooMany, nil, func(*cluster) {}, map[string]string{"DB": "two"}},
		"carried out":                      {nil, errBusy, func(*cluster) {}, map[string]string{"DB": "two"}},
		"carried out, and the value back":  {nil, errBusy, back, one},
		"refused, and the value back":      {errBusy, nil, back, one},
		"carried out, and switched off":    {nil, errBusy, switches("db", false), map[string]string{}},
		"the Secret is not there any more": {errBusy, nil, func(c *cluster) { c.do(func() { clear(c.secrets) }) }, map[string]string{"DB": "two"}},
	} {
		t.Run(name, func(t *testing.T) {
			withScene(t, func(s *scene) {
				s.must(t, "p")
				two(s.cluster)
				s.once("update", tc.before, tc.after)
				_ = s.fails()
				tc.meanwhile(s.cluster)
				s.must(t, "p")
				s.holds(tc.wantData)
				s.counts(1)
			})
		})
	}
}

// A projection that was deleted under us is issued again to a pod that lives,
// which is counted once.
func TestProjectionWasDeleted(t *testing.T) {
	for name, replace := range map[string]func(*cluster){
		"gone": func(c *cluster) { clear(c.secrets) },
		"replaced by another": func(c *cluster) {
			clear(c.secrets)
			_ = c.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "usersecret-p", Annotations: map[string]string{v1alpha1.PodUIDAnnotation: "uid-p"}}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			withScene(t, func(s *scene) {
				s.must(t, "p")
				s.cluster.do(func() { replace(s.cluster) })
				changes("db", func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = sealed("db", "two") })(s.cluster)
				_ = s.fails()
				s.must(t, "p")
				s.counts(1)
				if name == "gone" {
					s.holds(map[string]string{"DB": "two"})
				}
			})
		})
	}
}

func TestLostAnswerOfDelete(t *testing.T) {
	for name, end := range map[string]func(*cluster){
		"done": ends("p", corev1.PodFailed),
		"gone": func(c *cluster) { c.do(func() { delete(c.pods, inNamespace("p")) }) },
	} {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, carried out %t", name, lost), func(t *testing.T) {
				withScene(t, func(s *scene) {
					s.must(t, "p")
					end(s.cluster)
					if s.once("delete", errBusy, nil); lost {
						s.once("delete", nil, errBusy)
					}
					_ = s.fails()
					s.must(t, "p")
					if s.cluster.secret("usersecret-p") != nil {
						t.Error("the projection is still there")
					}
				})
			})
		}
	}
}

// A conflict is what the API server answers where another Secret has the name,
// and where ours was written at the same moment.
func TestDeleteConflicts(t *testing.T) {
	withScene(t, func(s *scene) {
		s.must(t, "p")
		ends("p", corev1.PodSucceeded)(s.cluster)
		s.once("delete", conflict("secrets", "usersecret-p"), nil)
		if err := s.fails(); !apierrors.IsConflict(err) {
			t.Errorf("error %v, want a conflict", err)
		}
		s.must(t, "p")
		s.holds(nil)
	})
	withScene(t, func(s *scene) {
		s.must(t, "p")
		s.cluster.do(func() { s.cluster.secrets[inNamespace("usersecret-p")].UID = "secret-of-another" })
		ends("p", corev1.PodSucceeded)(s.cluster)
		s.must(t, "p")
		s.holds(one)
	})
}

// A use that cannot be recorded is not served.
func TestNothingIsServedUnrecorded(t *testing.T) {
	withScene(t, func(s *scene) {
		s.once("record", errBusy, nil)
		_ = s.fails()
		s.holds(nil)
		s.must(t, "p")
		s.holds(one)
	})
	withScene(t, func(s *scene) {
		stores("key", "two")(s.cluster)
		s.cluster.addPod(makePod("q", "name:db=DB,name:key=KEY"))
		s.process.fault = func(_ context.Context, r request) (error, error) {
			if r == (request{"record", "UserSecret/key"}) {
				return errBusy, nil
			}
			return nil, nil
		}
		if _, err := s.reconcile("q"); !errors.Is(err, errBusy) {
			t.Errorf("error %v, want %v", err, errBusy)
		}
		if s.cluster.secret("usersecret-q") != nil {
			t.Error("a pod got a Secret with a use that is not recorded")
		}
	})
}

// A UserSecret that is deleted while its use is recorded: its deletion brings
// the pod back.
func TestUserSecretGoesWhileRecorded(t *testing.T) {
	withScene(t, func(s *scene) {
		s.process.fault = func(_ context.Context, r request) (error, error) {
			if r.verb == "record" {
				s.cluster.removeValue("db")
			}
			return nil, nil
		}
		s.must(t, "p")
		s.holds(nil)
	})
}

func TestNamespaceIsGoing(t *testing.T) {
	withScene(t, func(s *scene) {
		going := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "usersecret-p", errors.New("it is being terminated"))
		going.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
		s.once("create", going, nil)
		s.must(t, "p")
		s.holds(nil)
	})
}

// Every use is told of, at least once, also where the answer to its record was
// lost; every value that is taken away is, once for each time.
func TestAccessIsTold(t *testing.T) {
	withScene(t, func(s *scene) {
		s.once("record", nil, errBusy)
		_ = s.fails()
		s.must(t, "p")
		for _, on := range []bool{false, true, false} {
			switches("db", on)(s.cluster)
			s.must(t, "p")
		}
		after(day)
		s.must(t, "p") // nothing is left to be taken away
		lines := s.audit.take()
		if len(lines) != 4 || lines[0] != "uid-p/uid-db/use use db by p: " || !strings.HasSuffix(lines[2], " refresh db by p: ") {
			t.Fatalf("audit records %q, want one use, a revocation, the value again, and a revocation", lines)
		}
		ids := map[string]bool{}
		for _, line := range lines {
			ids[strings.Fields(line)[0]] = true
		}
		if len(ids) != len(lines) {
			t.Errorf("audit records %q, want an id for each", lines)
		}
		if _, why, _ := strings.Cut(lines[1], " revoke db by p: "); !strings.HasPrefix(why, "UserSecret is inactive") {
			t.Errorf("revocation %q, want the reason", lines[1])
		}
	})
}

// The end of a TTL and what is deleted are told of as well, and only what was
// taken away just now.
func TestRevocationsAreTold(t *testing.T) {
	withScene(t, func(s *scene) {
		stores("key", "two")(s.cluster)
		s.cluster.addPod(makePod("q", "name:db=DB,name:key=KEY"))
		s.must(t, "q")
		s.audit.take()
		s.cluster.removeValue("db")
		s.must(t, "q")
		if lines := s.audit.take(); len(lines) != 1 || !strings.Contains(lines[0], " revoke db by q: no such UserSecret yet") {
			t.Errorf("audit records %q, want that db was revoked", lines)
		}
		after(day)
		s.must(t, "q")
		if lines := s.audit.take(); len(lines) != 1 || !strings.HasSuffix(lines[0], " revoke key by q: the pod's time to live of 24h0m0s is over") {
			t.Errorf("audit records %q, want that key was revoked", lines)
		}
	})
}
