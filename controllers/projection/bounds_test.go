package projection

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

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

// Before the policies are in place nothing is given out or recorded; what is to be
// taken away goes all the same.
func TestGuard(t *testing.T) {
	value := func(c *cluster) {
		changes("db", func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = sealed("db", "two") })(c)
	}
	for name, tc := range map[string]struct {
		issued     bool
		happens    func(*cluster)
		wantWrites []string
		wantAgain  time.Duration
		wantData   map[string]string
	}{
		"a first issue": {false, func(*cluster) {}, nil, guardRetry, nil},
		"a new value":   {true, value, nil, guardRetry, one},
		"switched off":  {true, switches("db", false), refreshes, day, map[string]string{}},
		"the TTL":       {true, func(*cluster) { after(day) }, refreshes, 0, map[string]string{}},
		"the end":       {true, ends("p", corev1.PodSucceeded), []string{"delete Secret/usersecret-p"}, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			withScene(t, func(s *scene) {
				if tc.issued {
					s.must(t, "p")
				}
				s.crash()
				s.Guard = func() error { return errors.New("no policies") }
				tc.happens(s.cluster)
				if again := s.must(t, "p"); again != tc.wantAgain {
					t.Errorf("to be looked at again in %v, want %v", again, tc.wantAgain)
				}
				s.writes(tc.wantWrites...)
				s.holds(tc.wantData)
			})
		})
	}
	t.Run("one goes, one comes", func(t *testing.T) {
		withScene(t, func(s *scene) {
			stores("key", "two")(s.cluster)
			s.cluster.addPod(makePod("q", "name:db=DB,name:key=KEY"))
			s.must(t, "q")
			s.Guard = func() error { return errors.New("no policies") }
			value(s.cluster)
			switches("key", false)(s.cluster)
			if again := s.must(t, "q"); again != guardRetry {
				t.Errorf("to be looked at again in %v, want %v", again, guardRetry)
			}
			if diff := cmp.Diff(one, values(s.cluster.secret("usersecret-q"))); diff != "" {
				t.Errorf("data (-want +got):\n%s", diff)
			}
		})
	})
}

// The cache may not know yet that a namespace was given to somebody else: a first
// issue asks the API server.
func TestOwnerIsConfirmed(t *testing.T) {
	for name, owner := range map[string]string{"another's": "bob", "nobody's": ""} {
		t.Run(name, func(t *testing.T) {
			withScene(t, func(s *scene) {
				s.Owners.Cache = lagging{s.process, "alice"}
				s.cluster.do(func() { s.cluster.owners[namespace] = owner })
				if again := s.must(t, "p"); again != decideRetry {
					t.Errorf("to be looked at again in %v, want %v", again, decideRetry)
				}
				s.writes()
				s.cluster.do(func() { s.cluster.owners[namespace] = "alice" })
				s.must(t, "p")
				s.holds(one)
			})
		})
	}
	t.Run("nobody can say", func(t *testing.T) {
		withScene(t, func(s *scene) {
			s.Owners.Cache = lagging{s.process, "alice"}
			s.process.fault = func(_ context.Context, r request) (error, error) {
				if r.object == "Namespace/"+namespace {
					return errBusy, nil
				}
				return nil, nil
			}
			if err := s.fails(); !errors.Is(err, errBusy) {
				t.Errorf("error %v, want %v", err, errBusy)
			}
			s.writes()
		})
	})
}

// lagging is a cache that knows who owned every namespace before.
type lagging struct {
	client.Reader
	owner string
}

func (l lagging) Get(_ context.Context, name client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	object.SetName(name.Name)
	object.SetAnnotations(map[string]string{v1alpha1.OwnerAnnotation: l.owner})
	return nil
}

// Those who ask at the same time share a reading that begins after they asked.
func TestReadingsOfOwnersAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owners := []string{"alice", "bob", "carol"}
		begun := 0
		o := &ownership{readings: map[string]*reading{}, turns: make(turns, 1), read: func(context.Context, string) (string, error) {
			name := owners[begun]
			begun++
			after(time.Millisecond)
			return name, nil
		}}
		first := o.ask("n")
		synctest.Wait()
		second, third := o.ask("n"), o.ask("n")
		<-first.done
		synctest.Wait()
		fourth := o.ask("n")
		for i, tc := range []struct {
			reading *reading
			want    string
		}{{first, "alice"}, {second, "bob"}, {third, "bob"}, {fourth, "carol"}} {
			<-tc.reading.done
			if tc.reading.owner != tc.want {
				t.Errorf("%d. is told %q, want %q", i+1, tc.reading.owner, tc.want)
			}
		}
		synctest.Wait()
		if len(o.readings) != 0 {
			t.Errorf("%d namespaces are remembered, want none", len(o.readings))
		}
	})
}

// However many namespaces are asked about, few are read at once, and all in the end.
func TestReadingsOfOwnersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var under, most atomic.Int32
		o := &ownership{readings: map[string]*reading{}, turns: make(turns, ownerReads), read: func(_ context.Context, namespace string) (string, error) {
			most.Store(max(most.Load(), under.Add(1)))
			after(time.Millisecond)
			under.Add(-1)
			return "owner of " + namespace, nil
		}}
		var asked []*reading
		for i := range 50 {
			asked = append(asked, o.ask(fmt.Sprintf("n%d", i)))
		}
		for i, r := range asked {
			if err := r.confirm(t.Context(), fmt.Sprintf("owner of n%d", i)); err != nil {
				t.Error(err)
			}
		}
		if got := most.Load(); got != ownerReads {
			t.Errorf("%d namespaces were read at once, want %d", got, ownerReads)
		}
	})
}

// What is switched off or expires just before it would be recorded, or before it
// would be served, is not served.
func TestDecidedAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		happens func(*scene) // during the status write
		want    map[string]string
		count   int64
	}{
		"switched off": {func(s *scene) { switches("db", false)(s.cluster) }, nil, 0},
		"described": {func(s *scene) {
			changes("db", func(us *v1alpha1.UserSecret) { us.Spec.Description = "new" })(s.cluster)
		}, one, 1},
		"another value": {func(s *scene) {
			changes("db", func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = sealed("db", "two") })(s.cluster)
		}, map[string]string{"DB": "two"}, 1},
		// It counts: the write was under way in time.
		"expires": {func(*scene) { after(2 * time.Hour) }, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			withScene(t, func(s *scene) {
				at := metav1.NewTime(time.Now().Add(time.Hour))
				s.cluster.changeValue("db", func(us *v1alpha1.UserSecret) { us.Spec.ExpiresAt = &at })
				happened := false
				s.process.fault = func(_ context.Context, r request) (error, error) {
					if r.verb == "record" && !happened {
						happened = true
						tc.happens(s)
					}
					return nil, nil
				}
				if again := s.must(t, "p"); again != decideRetry {
					t.Errorf("to be looked at again in %v, want %v", again, decideRetry)
				}
				s.holds(nil)
				s.must(t, "p")
				s.holds(tc.want)
				s.counts(tc.count)
			})
		})
	}
}

// Retries come until the reason is gone, which raises no event.
func TestRetriesGoOn(t *testing.T) {
	limiter := options().RateLimiter
	var last time.Duration
	for range 100 {
		last = limiter.When(reconcile.Request{})
	}
	if last != lastRetry {
		t.Errorf("the hundredth retry comes after %v, want %v", last, lastRetry)
	}
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
