package projection

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/inject"
	"usersecrets.dev/operator/internal/keyring"
	"usersecrets.dev/operator/internal/secretvalue"
	"usersecrets.dev/operator/internal/selection"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// secretNamed is a UserSecret without content; expires is in hours from noon, 0
// for never.
func secretNamed(name string, expires int) *v1alpha1.UserSecret {
	us := &v1alpha1.UserSecret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-" + name)}}
	if expires != 0 {
		us.Spec.ExpiresAt = &metav1.Time{Time: noon.Add(time.Duration(expires) * time.Hour)}
	}
	return us
}

// gets is a part whose value is at hand.
func gets(key, name, value string) part {
	return part{
		choice: selection.Choice{Item: inject.Item{Name: name, Key: key}, Key: key, UserSecret: secretNamed(name, 0)},
		value:  secretvalue.FromString(value),
	}
}

// lacks is a part without value.
func lacks(key, name string, err error) part {
	p := gets(key, name, "")
	p.value, p.err = secretvalue.Value{}, err
	return p
}

func expiring(p part, hours int) part {
	p.choice.UserSecret = secretNamed(p.choice.UserSecret.Name, hours)
	return p
}

// ambiguous is a part that several match until so many hours after noon; 0 for
// ever.
func ambiguous(name string, hours int) part {
	p := lacks(name, name, selection.ErrAmbiguous)
	if p.choice.UserSecret = nil; hours != 0 {
		p.choice.Until = noon.Add(time.Duration(hours) * time.Hour)
	}
	return p
}

func sized(p part, bytes int) part {
	p.value = secretvalue.FromString(strings.Repeat("x", bytes))
	return p
}

// holding is a projection made at noon that holds keys of the UserSecrets: each
// pair is "KEY=name", or "KEY=name:value" where the key is not empty.
func holding(pairs ...string) *issued {
	i := &issued{namespace: namespace, name: "usersecret-p", uid: "secret-1", created: noon, holds: map[string]held{}, sources: map[string]source{}}
	for _, pair := range pairs {
		key, rest, _ := strings.Cut(pair, "=")
		name, value, full := strings.Cut(rest, ":")
		i.sources[key] = source{Name: name, UID: types.UID("uid-" + name)}
		if full {
			i.holds[key] = hold([]byte(value))
		}
	}
	return i
}

func podIn(phase corev1.PodPhase, terminating bool) *corev1.Pod {
	pod := makePod("p", "name:db=DB")
	pod.Status.Phase = phase
	if terminating {
		pod.DeletionTimestamp = &metav1.Time{Time: noon}
	}
	return pod
}

// outcome is a plan as tests compare it.
type outcome struct {
	Step  step
	Why   string
	Again time.Duration
	Set   map[string]string
	Unset []string
	Uses  []string
}

func outcomeOf(p plan) outcome {
	o := outcome{Step: p.step, Why: p.why, Again: p.again, Unset: p.unset}
	for key, value := range p.set {
		if o.Set == nil {
			o.Set = map[string]string{}
		}
		o.Set[key] = string(value)
	}
	for _, use := range p.uses {
		o.Uses = append(o.Uses, use.choice.UserSecret.Name)
	}
	return o
}

var (
	errInactive = fmt.Errorf("%w: switched off", selection.ErrInactive)
	errNoKey    = fmt.Errorf("%w v9", keyring.ErrUnknownKey)
	errBroken   = fmt.Errorf("%w: altered", envelope.ErrNotOpened)
	errServer   = errors.New("the server is busy")
)

const tooLarge = "values too large: 1048576 bytes together, and at most 1048575 fit: ask for fewer secrets in one pod"

func TestDecideFirst(t *testing.T) {
	for name, tc := range map[string]struct {
		scope scope
		want  outcome
	}{
		"all at hand": {
			scope{parts: []part{gets("DB", "db", "one"), gets("KEY", "key", "two")}},
			outcome{Step: issue, Set: map[string]string{"DB": "one", "KEY": "two"}, Uses: []string{"db", "key"}},
		},
		"one UserSecret under two keys is one use": {
			scope{parts: []part{gets("DB", "db", "one"), gets("DB_COPY", "db", "one")}},
			outcome{Step: issue, Set: map[string]string{"DB": "one", "DB_COPY": "one"}, Uses: []string{"db"}},
		},
		"one is missing": {
			scope{parts: []part{gets("DB", "db", "one"), lacks("KEY", "key", errInactive)}},
			outcome{Step: wait, Why: "name:key: UserSecret is inactive: switched off"},
		},
		"a key is not in the vault": {
			scope{parts: []part{lacks("DB", "db", errNoKey)}},
			outcome{Step: wait, Why: "name:db: unknown encryption key v9", Again: keyRetry},
		},
		"several match until one expires": {
			scope{parts: []part{ambiguous("DB", 2), ambiguous("KEY", 1), ambiguous("OTHER", 0)}},
			outcome{Step: wait, Why: "name:DB: several UserSecrets match", Again: time.Hour},
		},
		"the same key twice": {
			scope{parts: []part{gets("DB", "db", "one"), gets("DB", "key", "two")}},
			outcome{Step: wait, Why: `the same key twice: name:db and name:key both go to DB: give one of them another, as in "name:db=OTHER_KEY"`},
		},
		"too large": {
			scope{parts: []part{sized(gets("A", "a", ""), 1<<19), sized(gets("B", "b", ""), 1<<19)}},
			outcome{Step: wait, Why: tooLarge},
		},
		"malformed": {
			scope{malformed: errors.New("no such annotation")},
			outcome{Step: wait, Why: "no such annotation"},
		},
		"a TTL": {
			scope{request: inject.Request{TTL: time.Hour}, parts: []part{expiring(gets("DB", "db", "one"), 2)}},
			outcome{Step: issue, Set: map[string]string{"DB": "one"}, Uses: []string{"db"}, Again: time.Hour},
		},
		"an expiry before the TTL": {
			scope{request: inject.Request{TTL: 3 * time.Hour}, parts: []part{expiring(gets("DB", "db", "one"), 2)}},
			outcome{Step: issue, Set: map[string]string{"DB": "one"}, Uses: []string{"db"}, Again: 2 * time.Hour},
		},
		"done":        {scope{pod: podIn(corev1.PodSucceeded, false)}, outcome{Step: stay}},
		"terminating": {scope{pod: podIn("", true), parts: []part{gets("DB", "db", "one")}}, outcome{Step: stay}},
	} {
		t.Run(name, func(t *testing.T) { checkDecision(t, tc.scope, tc.want) })
	}
}

func TestDecideNext(t *testing.T) {
	full := holding("DB=db:one")
	for name, tc := range map[string]struct {
		scope scope
		want  outcome
	}{
		"nothing new":             {scope{current: full, parts: []part{gets("DB", "db", "one")}}, outcome{Step: stay}},
		"a new value":             {scope{current: full, parts: []part{gets("DB", "db", "two")}}, outcome{Step: refresh, Set: map[string]string{"DB": "two"}}},
		"switched off":            {scope{current: full, parts: []part{lacks("DB", "db", errInactive)}}, outcome{Step: refresh, Why: "UserSecret is inactive: switched off", Unset: []string{"DB"}}},
		"it was off already":      {scope{current: holding("DB=db"), parts: []part{lacks("DB", "db", errInactive)}}, outcome{Step: stay}},
		"switched on":             {scope{current: holding("DB=db"), parts: []part{gets("DB", "db", "one")}}, outcome{Step: refresh, Set: map[string]string{"DB": "one"}}},
		"does not open":           {scope{current: full, parts: []part{lacks("DB", "db", errBroken)}}, outcome{Step: refresh, Why: errBroken.Error(), Unset: []string{"DB"}}},
		"its key is not at hand":  {scope{current: full, parts: []part{lacks("DB", "db", errNoKey)}}, outcome{Step: stay, Again: keyRetry}},
		"the server is not":       {scope{current: full, parts: []part{lacks("DB", "db", errServer)}}, outcome{Step: stay, Again: keyRetry}},
		"another one of its name": {scope{current: holding("DB=other:one"), parts: []part{gets("DB", "db", "one")}}, outcome{Step: refresh, Set: map[string]string{"DB": "one"}, Uses: []string{"db"}}},
		"one goes, one comes, one stays": {
			scope{current: holding("A=a:1", "B=b:2", "C=c:3"), parts: []part{lacks("A", "a", errInactive), gets("B", "b", "two"), lacks("C", "c", errNoKey)}},
			outcome{Step: refresh, Why: "UserSecret is inactive: switched off", Set: map[string]string{"B": "two"}, Unset: []string{"A"}, Again: keyRetry},
		},
		"each reason is told once": {
			scope{current: holding("A=a:1", "B=b:2", "C=c:3"), parts: []part{lacks("A", "a", errInactive), lacks("B", "b", errInactive), lacks("C", "c", errBroken)}},
			outcome{Step: refresh, Why: "UserSecret is inactive: switched off; " + errBroken.Error(), Unset: []string{"A", "B", "C"}},
		},
		"a key that comes from nowhere": {
			scope{current: holding("DB=db:one", "X=:stray"), parts: []part{gets("DB", "db", "one")}},
			outcome{Step: refresh, Why: "it is not known where the value comes from", Unset: []string{"X"}},
		},
		"too large": {
			scope{current: holding("A=a:1", "B=b:2"), parts: []part{sized(gets("A", "a", ""), 1<<19), sized(gets("B", "b", ""), 1<<19)}},
			outcome{Step: wait, Why: tooLarge},
		},
		"too large with what cannot be looked at": {
			scope{current: holding("A=a:1", "B=b:"+strings.Repeat("y", 1<<19)), parts: []part{sized(gets("A", "a", ""), 1<<19), lacks("B", "b", errNoKey)}},
			outcome{Step: wait, Why: tooLarge, Again: keyRetry},
		},
		"too large, and something to take away": {
			scope{current: holding("A=a:1", "B=b:2", "C=c:3"), parts: []part{sized(gets("A", "a", ""), 1<<19), sized(gets("B", "b", ""), 1<<19), lacks("C", "c", errInactive)}},
			outcome{Step: refresh, Why: "UserSecret is inactive: switched off", Unset: []string{"C"}, Again: heldRetry},
		},
		"too large, and the TTL runs": {
			scope{current: holding("A=a:1", "B=b:2"), request: inject.Request{TTL: time.Hour}, parts: []part{sized(gets("A", "a", ""), 1<<19), sized(gets("B", "b", ""), 1<<19)}},
			outcome{Step: wait, Why: tooLarge, Again: time.Hour},
		},
		"the TTL runs":               {scope{current: full, request: inject.Request{TTL: time.Hour}, now: noon.Add(time.Minute), parts: []part{gets("DB", "db", "one")}}, outcome{Step: stay, Again: 59 * time.Minute}},
		"the TTL is over":            {scope{current: full, request: inject.Request{TTL: time.Hour}, now: noon.Add(time.Hour)}, outcome{Step: refresh, Why: "the pod's time to live of 1h0m0s is over", Unset: []string{"DB"}}},
		"it was over already":        {scope{current: holding("DB=db"), request: inject.Request{TTL: time.Hour}, now: noon.Add(2 * time.Hour), parts: []part{gets("DB", "db", "new")}}, outcome{Step: stay}},
		"an expiry is ahead":         {scope{current: full, parts: []part{expiring(gets("DB", "db", "one"), 2)}}, outcome{Step: stay, Again: 2 * time.Hour}},
		"done":                       {scope{pod: podIn(corev1.PodSucceeded, false), current: full}, outcome{Step: remove}},
		"failed":                     {scope{pod: podIn(corev1.PodFailed, true), current: full}, outcome{Step: remove}},
		"done, and deleted before":   {scope{pod: podIn(corev1.PodSucceeded, false), current: &issued{gone: true}}, outcome{Step: stay}},
		"terminating, and refreshed": {scope{pod: podIn("", true), current: full, parts: []part{lacks("DB", "db", errInactive)}}, outcome{Step: refresh, Why: "UserSecret is inactive: switched off", Unset: []string{"DB"}}},
	} {
		t.Run(name, func(t *testing.T) { checkDecision(t, tc.scope, tc.want) })
	}
}

func checkDecision(t *testing.T, s scope, want outcome) {
	t.Helper()
	if s.pod == nil {
		s.pod = podIn(corev1.PodRunning, false)
	}
	if s.now.IsZero() {
		s.now = noon
	}
	if diff := cmp.Diff(want, outcomeOf(decide(&s))); diff != "" {
		t.Errorf("decided (-want +got):\n%s", diff)
	}
}

func TestSooner(t *testing.T) {
	for name, tc := range map[string]struct{ a, b, want time.Duration }{
		"the shorter":     {time.Hour, time.Minute, time.Minute},
		"never and once":  {0, time.Minute, time.Minute},
		"once and never":  {time.Minute, 0, time.Minute},
		"past and once":   {-time.Hour, time.Minute, time.Minute},
		"never":           {0, 0, 0},
		"both are passed": {-time.Hour, -time.Minute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := sooner(tc.a, tc.b); got != tc.want {
				t.Errorf("sooner(%v, %v) = %v, want %v", tc.a, tc.b, got, tc.want)
			}
		})
	}
}
