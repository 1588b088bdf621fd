package projection

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"usersecrets.dev/operator/api/v1alpha1"
)

// moment is one look at one pod after something happened.
type moment struct {
	happens func(*cluster)
	// wantData is what the projection holds then; nil means that there is none.
	wantData map[string]string
	// wantWrites are the calls that the look makes and that change something.
	wantWrites []string
	wantSaid   []string
	// wantAgain is when the look is repeated.
	wantAgain time.Duration
}

// live has a pod p looked at after each of the moments of its life.
func live(t *testing.T, pod *corev1.Pod, moments ...moment) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		l := c.lead()
		l.must(t, "nobody") // reads which pods were there before it
		c.addPod(pod)
		for i, m := range moments {
			if m.happens != nil {
				m.happens(c)
			}
			again := l.must(t, pod.Name)
			if diff := cmp.Diff(m.wantData, values(c.secret(pod.Annotations[v1alpha1.ProjectionAnnotation]))); diff != "" {
				t.Errorf("moment %d: data (-want +got):\n%s", i, diff)
			}
			if diff := cmp.Diff(m.wantWrites, c.written()); diff != "" {
				t.Errorf("moment %d: writes (-want +got):\n%s", i, diff)
			}
			if diff := cmp.Diff(m.wantSaid, l.events.take()); diff != "" {
				t.Errorf("moment %d: Events (-want +got):\n%s", i, diff)
			}
			if again != m.wantAgain {
				t.Errorf("moment %d: to be looked at again in %v, want %v", i, again, m.wantAgain)
			}
		}
		checkPromises(t, c)
	})
}

func stores(name, value string) func(*cluster) {
	return func(c *cluster) { c.addValue(makeValue(name, value)) }
}

func changes(name string, change func(*v1alpha1.UserSecret)) func(*cluster) {
	return func(c *cluster) { c.changeValue(name, change) }
}

func switches(name string, on bool) func(*cluster) {
	return changes(name, func(us *v1alpha1.UserSecret) { us.Spec.Active = &on })
}

func ends(pod string, phase corev1.PodPhase) func(*cluster) {
	return func(c *cluster) { c.do(func() { c.pods[inNamespace(pod)].Status.Phase = phase }) }
}

const day = 24 * time.Hour

var (
	issues    = []string{"record UserSecret/db", "create Secret/usersecret-p"}
	refreshes = []string{"update Secret/usersecret-p"}
	usedByP   = `db Normal Used: Used by pod p, workflow "nightly", node "step-p", created by alice`
	issuedToP = "p Normal SecretIssued: Issued Secret usersecret-p with DB"
)

func TestLifeOfAProjection(t *testing.T) {
	waits := `p Warning WaitingForSecret: name:db: no such UserSecret yet: "db"; the namespace's owner makes it with 'kubectl usersecret create db'`
	live(t, makePod("p", "name:db=DB"),
		moment{wantAgain: 0, wantSaid: []string{waits}},
		moment{wantAgain: 0}, // the same reason is not told twice
		moment{happens: stores("db", "one"), wantData: map[string]string{"DB": "one"}, wantWrites: issues, wantSaid: []string{usedByP, issuedToP}, wantAgain: day},
		moment{wantData: map[string]string{"DB": "one"}, wantAgain: day},
		moment{
			happens:  changes("db", func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = sealed("db", "two") }),
			wantData: map[string]string{"DB": "two"}, wantWrites: refreshes, wantAgain: day,
			wantSaid: []string{"p Normal SecretRefreshed: Secret usersecret-p has new values of DB"},
		},
		moment{
			happens: switches("db", false), wantData: map[string]string{}, wantWrites: refreshes, wantAgain: day,
			wantSaid: []string{`p Warning SecretRevoked: Secret usersecret-p lost DB: UserSecret is inactive: "db"; its owner sets spec.active to true again`},
		},
		moment{wantData: map[string]string{}, wantAgain: day},
		moment{
			happens: switches("db", true), wantData: map[string]string{"DB": "two"}, wantWrites: refreshes, wantAgain: day,
			wantSaid: []string{"p Normal SecretRefreshed: Secret usersecret-p has new values of DB"},
		},
		moment{
			happens: func(*cluster) { after(day) }, wantData: map[string]string{}, wantWrites: refreshes,
			wantSaid: []string{"p Warning SecretRevoked: Secret usersecret-p lost DB: the pod's time to live of 24h0m0s is over"},
		},
		moment{happens: changes("db", func(us *v1alpha1.UserSecret) { us.Spec.EncryptedValue = sealed("db", "three") }), wantData: map[string]string{}},
		moment{happens: ends("p", corev1.PodSucceeded), wantWrites: []string{"delete Secret/usersecret-p"}},
		moment{},
		moment{happens: func(c *cluster) { c.do(func() { delete(c.pods, inNamespace("p")) }) }},
	)
}

func TestLifeEndsEarly(t *testing.T) {
	issued := moment{happens: stores("db", "one"), wantData: map[string]string{"DB": "one"}, wantWrites: issues, wantSaid: []string{usedByP, issuedToP}, wantAgain: day}
	deletes := []string{"delete Secret/usersecret-p"}
	terminating := func(grace int64) func(*cluster) {
		return func(c *cluster) {
			c.do(func() {
				pod := c.pods[inNamespace("p")]
				pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &metav1.Time{Time: time.Now()}, &grace
			})
		}
	}
	for name, moments := range map[string][]moment{
		"failed":                    {issued, {happens: ends("p", corev1.PodFailed), wantWrites: deletes}},
		"gone":                      {issued, {happens: func(c *cluster) { c.do(func() { delete(c.pods, inNamespace("p")) }) }, wantWrites: deletes}},
		"terminating keeps what is": {issued, {happens: terminating(30), wantData: map[string]string{"DB": "one"}, wantAgain: day}},
		"terminating is still emptied": {issued, {happens: terminating(30), wantData: map[string]string{"DB": "one"}, wantAgain: day}, {
			happens: switches("db", false), wantData: map[string]string{}, wantWrites: refreshes, wantAgain: day,
			wantSaid: []string{`p Warning SecretRevoked: Secret usersecret-p lost DB: UserSecret is inactive: "db"; its owner sets spec.active to true again`},
		}},
		"past its grace period":       {issued, {happens: terminating(0), wantWrites: deletes}},
		"terminating gets nothing":    {{happens: func(c *cluster) { stores("db", "one")(c); terminating(30)(c) }}},
		"done before it got anything": {{happens: func(c *cluster) { stores("db", "one")(c); ends("p", corev1.PodSucceeded)(c) }}},
		"replaced by one of its name": {issued, {
			happens: func(c *cluster) {
				c.do(func() {
					other := makePod("p", "name:db=DB")
					other.UID, other.Annotations[v1alpha1.ProjectionAnnotation] = "uid-p-again", "usersecret-p-again"
					c.pods[inNamespace("p")] = other
				})
			},
			wantWrites: []string{"delete Secret/usersecret-p", "record UserSecret/db", "create Secret/usersecret-p-again"},
			wantSaid:   []string{usedByP, "p Normal SecretIssued: Issued Secret usersecret-p-again with DB"}, wantAgain: day,
		}},
	} {
		t.Run(name, func(t *testing.T) { live(t, makePod("p", "name:db=DB"), moments...) })
	}
}

// A UserSecret that is deleted and made again under its name is another one, and
// its use is recorded there, also where the value is the same.
func TestUserSecretMadeAgain(t *testing.T) {
	again := func(value string) func(*cluster) {
		return func(c *cluster) {
			us := makeValue("db", value)
			us.UID = "uid-db-again"
			c.addValue(us)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		for value, want := range map[string]map[string]string{"one": {"DB": "one"}, "two": {"DB": "two"}} {
			c := newCluster()
			c.addPod(makePod("p", "name:db=DB"))
			stores("db", "one")(c)
			l := c.lead()
			l.must(t, "p")
			again(value)(c)
			l.must(t, "p")
			if diff := cmp.Diff(want, values(c.secret("usersecret-p"))); diff != "" {
				t.Errorf("data (-want +got):\n%s", diff)
			}
			if n := countOf(c.value("db")); n != 1 {
				t.Errorf("the new UserSecret counts %d uses, want 1", n)
			}
			if got, want := readSources(c.secret("usersecret-p"))["DB"].UID, types.UID("uid-db-again"); got != want {
				t.Errorf("the projection draws on %q, want %q", got, want)
			}
			checkPromises(t, c)
		}
	})
}

// A provider may come to mean another UserSecret while the pod runs; the pod
// keeps the one that it was given.
func TestPodKeepsItsUserSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		c.catalog[types.NamespacedName{Name: "openai"}] = makeProvider("openai", "OPENAI_API_KEY")
		c.addPod(makePod("p", "openai"))
		put := func(name string, age time.Duration) {
			us := makeValue(name, "value of "+name)
			us.Spec.Provider, us.Spec.Type = "openai", v1alpha1.TypeAPIKey
			us.CreationTimestamp = metav1.Time{Time: time.Now().Add(-age)}
			c.addValue(us)
		}
		put("first", time.Hour)
		l := c.lead()
		l.must(t, "p")
		put("older", 2*time.Hour)
		l.must(t, "p")
		if diff := cmp.Diff(map[string]string{"OPENAI_API_KEY": "value of first"}, values(c.secret("usersecret-p"))); diff != "" {
			t.Errorf("data (-want +got):\n%s", diff)
		}
		c.removeValue("first")
		l.must(t, "p")
		if diff := cmp.Diff(map[string]string{}, values(c.secret("usersecret-p"))); diff != "" {
			t.Errorf("data after its UserSecret was deleted (-want +got):\n%s", diff)
		}
		if n := countOf(c.value("older")); n != 0 {
			t.Errorf("the other UserSecret counts %d uses, want none", n)
		}
	})
}

// A UserSecret made again under its name, as something else, is not given out under
// a key that stands for what the pod asked for.
func TestUserSecretMadeAgainAsSomethingElse(t *testing.T) {
	openai := makeValue("first", "an API key")
	openai.Spec.Provider, openai.Spec.Type = "openai", v1alpha1.TypeAPIKey
	again := func(provider string, kind v1alpha1.SecretType) *v1alpha1.UserSecret {
		us := makeValue("first", "another value")
		us.UID, us.Spec.Provider, us.Spec.Type = "uid-first-again", provider, kind
		return us
	}
	for name, tc := range map[string]struct {
		inject string
		old    bool // the annotation is of a version that did not say
		next   *v1alpha1.UserSecret
		want   map[string]string
	}{
		"another provider": {"openai", false, again("slack", v1alpha1.TypeAPIKey), map[string]string{}},
		"another type":     {"openai", false, again("openai", v1alpha1.TypeOAuthToken), map[string]string{}},
		"the same":         {"openai", false, again("openai", v1alpha1.TypeAPIKey), map[string]string{"OPENAI_API_KEY": "another value"}},
		"asked by name":    {"name:first=OPENAI_API_KEY", false, again("slack", v1alpha1.TypeAPIKey), map[string]string{"OPENAI_API_KEY": "another value"}},
		"not known":        {"openai", true, again("slack", v1alpha1.TypeAPIKey), map[string]string{"OPENAI_API_KEY": "another value"}},
	} {
		t.Run(name, func(t *testing.T) {
			withScene(t, func(s *scene) {
				s.cluster.catalog[types.NamespacedName{Name: "openai"}] = makeProvider("openai", "OPENAI_API_KEY")
				s.cluster.addValue(openai.DeepCopy())
				s.cluster.addPod(makePod("q", tc.inject))
				s.must(t, "q")
				if tc.old {
					s.cluster.do(func() {
						secret := s.cluster.secrets[inNamespace("usersecret-q")]
						secret.Annotations[v1alpha1.SourcesAnnotation] = `{"OPENAI_API_KEY":{"name":"first","uid":"uid-first"}}`
					})
				}
				s.crash()
				s.cluster.addValue(tc.next.DeepCopy())
				s.must(t, "q")
				if diff := cmp.Diff(tc.want, values(s.cluster.secret("usersecret-q"))); diff != "" {
					t.Errorf("data (-want +got):\n%s", diff)
				}
				if len(tc.want) > 0 {
					return
				}
				if n := countOf(s.cluster.value("first")); n != 0 {
					t.Errorf("the new UserSecret counts %d uses, want none", n)
				}
				lines := s.events.take()
				want := fmt.Sprintf(`q Warning SecretRevoked: Secret usersecret-q lost OPENAI_API_KEY: no such UserSecret yet: "first" is of provider %q, type %s now, and the pod asked for "openai", type api_key`,
					tc.next.Spec.Provider, tc.next.Spec.Type)
				if diff := cmp.Diff([]string{want}, lines); diff != "" {
					t.Errorf("Events (-want +got):\n%s", diff)
				}
				back := again("openai", v1alpha1.TypeAPIKey)
				back.UID = "uid-first-once-more"
				s.cluster.addValue(back)
				s.must(t, "q")
				s.cluster.addValue(tc.next.DeepCopy())
				s.must(t, "q")
				if diff := cmp.Diff(tc.want, values(s.cluster.secret("usersecret-q"))); diff != "" {
					t.Errorf("data after it was there once more (-want +got):\n%s", diff)
				}
			})
		})
	}
}
