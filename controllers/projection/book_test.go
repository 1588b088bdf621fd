package projection

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"usersecrets.dev/operator/api/v1alpha1"
)

// ages are how long pods of a book have been waiting for their Secret.
type ages map[string]time.Duration

const served = -1 // counted, and has its Secret

// bookOf is a book at noon, in which the pods stand newest first.
func bookOf(pods string, waiting ages) *book {
	b := &book{version: "7", usage: v1alpha1.Usage{Count: 100}, marks: map[types.UID]*mark{}}
	for _, pod := range strings.Fields(pods) {
		b.recent = append(b.recent, use(pod))
	}
	for pod, age := range waiting {
		m := &mark{counted: true, asked: true}
		if age != served {
			m.pinned = noon.Add(-age)
		}
		b.marks[types.UID("uid-"+pod)] = m
	}
	return b
}

// run is pods "a3 a2 a1" for run("a", 1, 3): newest first.
func run(prefix string, from, to int) string {
	var names []string
	for i := from; i <= to; i++ {
		names = append(names, fmt.Sprintf("%s%d", prefix, i))
	}
	slices.Reverse(names)
	return strings.Join(names, " ")
}

// all are pods that have waited for as long.
func all(pods string, age time.Duration) ages {
	a := ages{}
	for _, pod := range strings.Fields(pods) {
		a[pod] = age
	}
	return a
}

func podsOf(recent []v1alpha1.Access) string {
	return usedBy(&v1alpha1.UserSecret{Status: v1alpha1.UserSecretStatus{RecentAccesses: recent}})
}

// What goes where recentAccesses is full: the oldest that is served, before one
// that has waited too long, and never one whose Secret may come any time.
func TestBookWith(t *testing.T) {
	for name, tc := range map[string]struct {
		book *book
		uses string // oldest first
		want string
	}{
		"the first":          {bookOf("", nil), "b1", "b1"},
		"newest first":       {bookOf("a2 a1", nil), "b1 b2", "b2 b1 a2 a1"},
		"the oldest goes":    {bookOf(run("a", 1, 20), nil), "b1", "b1 " + run("a", 2, 20)},
		"a whole group":      {bookOf(run("a", 1, 20), nil), "b1 b2 b3", "b3 b2 b1 " + run("a", 4, 20)},
		"all but the group":  {bookOf(run("a", 1, 20), nil), reversed(run("b", 1, 20)), run("b", 1, 20)},
		"who waits stays":    {bookOf(run("a", 1, 20), ages{"a1": time.Second}), "b1", "b1 " + run("a", 3, 20) + " a1"},
		"who is served goes": {bookOf(run("a", 1, 20), ages{"a1": served}), "b1", "b1 " + run("a", 2, 20)},
		"who waited too long goes last": {
			bookOf(run("a", 1, 20), ages{"a1": pinTime, "a2": served}), "b1", "b1 " + run("a", 3, 20) + " a1",
		},
		"but goes before who waits": {
			bookOf(run("a", 1, 20), merged(all(run("a", 2, 20), time.Second), ages{"a1": pinTime})), "b1", "b1 " + run("a", 2, 20),
		},
		"the oldest of those": {
			bookOf(run("a", 1, 20), merged(all(run("a", 3, 20), time.Second), ages{"a1": pinTime, "a2": pinTime})), "b1", "b1 " + run("a", 2, 20),
		},
	} {
		t.Run(name, func(t *testing.T) {
			var uses []v1alpha1.Access
			for _, pod := range strings.Fields(tc.uses) {
				uses = append(uses, use(pod))
			}
			before := podsOf(tc.book.recent)
			usage, recent := tc.book.with(uses, noon)
			if diff := cmp.Diff(tc.want, podsOf(recent)); diff != "" {
				t.Errorf("recentAccesses (-want +got):\n%s", diff)
			}
			if want := int64(100 + len(uses)); usage.Count != want {
				t.Errorf("count = %d, want %d", usage.Count, want)
			}
			newest := uses[len(uses)-1]
			if diff := cmp.Diff(&v1alpha1.LastUse{Workflow: "nightly", Node: newest.Node, Pod: newest.Pod}, usage.LastUsedBy); diff != "" {
				t.Errorf("lastUsedBy (-want +got):\n%s", diff)
			}
			if podsOf(tc.book.recent) != before {
				t.Error("the book changed before anything was written")
			}
		})
	}
}

func reversed(pods string) string {
	names := strings.Fields(pods)
	slices.Reverse(names)
	return strings.Join(names, " ")
}

func merged(all ...ages) ages {
	m := ages{}
	for _, a := range all {
		for pod, age := range a {
			m[pod] = age
		}
	}
	return m
}

func TestBookFree(t *testing.T) {
	for name, tc := range map[string]struct {
		book      *book
		want      int
		wantUntil time.Duration
	}{
		"empty":                  {bookOf("", nil), 20, pinTime},
		"all served":             {bookOf(run("a", 1, 20), all(run("a", 1, 20), served)), 20, pinTime},
		"unknown pods":           {bookOf(run("a", 1, 20), nil), 20, pinTime},
		"three wait":             {bookOf(run("a", 1, 20), ages{"a1": time.Second, "a2": 3 * time.Second, "a3": 2 * time.Second}), 17, pinTime - 3*time.Second},
		"one waited too long":    {bookOf(run("a", 1, 20), ages{"a1": time.Second, "a2": pinTime}), 19, pinTime - time.Second},
		"all wait":               {bookOf(run("a", 1, 20), all(run("a", 1, 20), time.Second)), 0, pinTime - time.Second},
		"out of the list anyway": {bookOf("a1", ages{"b1": time.Second}), 20, pinTime},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.book.free(noon); got != tc.want {
				t.Errorf("%d places are free, want %d", got, tc.want)
			}
			if got := tc.book.untilFree(noon); got != tc.wantUntil {
				t.Errorf("the next is free in %v, want %v", got, tc.wantUntil)
			}
		})
	}
}

func TestBookAdopt(t *testing.T) {
	b := bookOf("gone asked waiting", ages{"asked": served, "waiting": time.Second})
	b.marks["uid-gone"] = &mark{counted: true} // known from an earlier list alone
	b.ask("uid-asking", noon.Add(-time.Second))
	b.ask("uid-lost", noon.Add(-time.Second)) // its write succeeded, and the answer was lost
	us := makeValue("db", "one")
	us.ResourceVersion = "9"
	us.Status.Usage = &v1alpha1.Usage{Count: 5}
	us.Status.RecentAccesses = []v1alpha1.Access{use("earlier"), use("lost"), use("settled"), {Type: "read", PodUID: "uid-reader"}, use("asked")}
	b.adopt(us, func(pod types.UID) bool { return pod == "uid-earlier" }, noon)

	want := map[types.UID]mark{
		"uid-asked":   {counted: true, asked: true},
		"uid-waiting": {counted: true, asked: true, pinned: noon.Add(-time.Second)},
		"uid-asking":  {asked: true, pinned: noon.Add(-time.Second)},
		"uid-lost":    {counted: true, asked: true, pinned: noon},
		"uid-earlier": {counted: true, pinned: noon},
		"uid-settled": {counted: true},
	}
	got := map[types.UID]mark{}
	for pod, m := range b.marks {
		got[pod] = *m
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(mark{})); diff != "" {
		t.Errorf("marks (-want +got):\n%s", diff)
	}
	if b.version != "9" || b.usage.Count != 5 || len(b.recent) != 5 {
		t.Errorf("adopted version %s, count %d, %d entries; want 9, 5, 5", b.version, b.usage.Count, len(b.recent))
	}
	b.adopt(makeValue("db", "one"), nil, noon)
	if b.usage.Count != 0 || b.recent != nil {
		t.Errorf("without usage: count %d, %d entries; want none", b.usage.Count, len(b.recent))
	}
}

func TestBookIdle(t *testing.T) {
	for name, tc := range map[string]struct {
		marks map[types.UID]*mark
		want  bool
	}{
		"nobody":                    {nil, true},
		"a pod that may ask again":  {map[types.UID]*mark{"a": {asked: true}}, false},
		"an entry that is kept":     {map[types.UID]*mark{"a": {pinned: noon}}, false},
		"one that was kept":         {map[types.UID]*mark{"a": {pinned: noon.Add(-pinTime)}}, true},
		"one that is only known of": {map[types.UID]*mark{"a": {}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (&book{marks: tc.marks}).idle(noon); got != tc.want {
				t.Errorf("idle = %t, want %t", got, tc.want)
			}
		})
	}
}

// A pod that asks is not served, whatever is thought of it.
func TestBookAsk(t *testing.T) {
	b := bookOf("a", ages{"a": served, "b": time.Second})
	for pod, want := range map[string]bool{"a": true, "b": true, "c": false} {
		if got := b.ask(types.UID("uid-"+pod), noon); got != want {
			t.Errorf("pod %s counted: %t, want %t", pod, got, want)
		}
	}
	b.marks["uid-d"] = &mark{counted: true} // known from the list
	if b.ask("uid-d", noon); !b.marks["uid-d"].asked {
		t.Error("a pod that asked is forgotten with the list that it was in")
	}
	if got := b.marks["uid-a"].pinned; got != noon {
		t.Errorf("the entry of a pod that asks is kept since %v, want %v", got, noon)
	}
	if got := b.marks["uid-b"].pinned; got != noon.Add(-time.Second) {
		t.Errorf("asking again keeps the entry since %v, want no longer than before", got)
	}
}

// RFC 7386: what a merge patch leaves out stays as it was.
func TestCompleteWritesEveryField(t *testing.T) {
	at := metav1.Time{Time: noon}
	usage := v1alpha1.Usage{Count: 3, LastUsedAt: &at, LastUsedBy: &v1alpha1.LastUse{Pod: "p"}}
	want := map[string]any{
		"count": int64(3), "lastUsedAt": &at,
		"lastUsedBy": map[string]any{"workflow": nil, "node": nil, "pod": "p"},
	}
	if diff := cmp.Diff(want, complete(usage)); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
}
