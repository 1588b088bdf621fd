package usersecret

import (
	"testing"
	"time"

	"usersecrets.dev/operator/api/v1alpha1"
)

func off(us *v1alpha1.UserSecret) { us.Spec.Active = new(bool) }

func held(us *v1alpha1.UserSecret) { us.Finalizers = []string{"example.com/held"} }

func TestReconcileRivals(t *testing.T) {
	older := aged(2 * time.Hour)
	tests := map[string]struct {
		rivals     []*v1alpha1.UserSecret
		change     func(*v1alpha1.UserSecret)
		wantReason string
		wantAgain  time.Duration
	}{
		"alone":            {wantReason: v1alpha1.ReasonReady},
		"an older one":     {rivals: []*v1alpha1.UserSecret{makeSecret("z", older)}, wantReason: v1alpha1.ReasonDuplicate},
		"a younger one":    {rivals: []*v1alpha1.UserSecret{makeSecret("a", aged(time.Minute))}, wantReason: v1alpha1.ReasonReady},
		"a tie is a's":     {rivals: []*v1alpha1.UserSecret{makeSecret("a")}, wantReason: v1alpha1.ReasonDuplicate},
		"a tie is not z's": {rivals: []*v1alpha1.UserSecret{makeSecret("z")}, wantReason: v1alpha1.ReasonReady},
		"an older one that is off, and one that expired": {
			rivals:     []*v1alpha1.UserSecret{makeSecret("y", older, off), makeSecret("z", older, expiring(0))},
			wantReason: v1alpha1.ReasonReady,
		},
		"an older one that expires": {
			rivals:     []*v1alpha1.UserSecret{makeSecret("z", older, expiring(time.Hour))},
			wantReason: v1alpha1.ReasonDuplicate, wantAgain: time.Hour,
		},
		"the oldest expires first": {
			rivals:     []*v1alpha1.UserSecret{makeSecret("a", older, expiring(2*time.Hour)), makeSecret("z", aged(3*time.Hour), expiring(time.Hour))},
			wantReason: v1alpha1.ReasonDuplicate, wantAgain: time.Hour,
		},
		"the rival expires first": {
			rivals: []*v1alpha1.UserSecret{makeSecret("z", older, expiring(time.Hour))}, change: expiring(2 * time.Hour),
			wantReason: v1alpha1.ReasonDuplicate, wantAgain: time.Hour,
		},
		"it expires first itself": {
			rivals: []*v1alpha1.UserSecret{makeSecret("z", older, expiring(2*time.Hour))}, change: expiring(time.Hour),
			wantReason: v1alpha1.ReasonDuplicate, wantAgain: time.Hour,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			us := makeSecret("m")
			if tt.change != nil {
				tt.change(us)
			}
			w.store(append(tt.rivals, us)...)
			checkAgain(t, w.reconcile("m"), tt.wantAgain)
			w.checkReason("m", v1alpha1.ConditionReady, tt.wantReason)
		})
	}
}

// The next one's turn comes when the rival expires, though nobody says so.
func TestReconcileRivalExpires(t *testing.T) {
	w := newWorld(t)
	w.store(makeSecret("a", aged(2*time.Hour), expiring(30*24*time.Hour)), makeSecret("m"))
	result := w.reconcile("m")
	w.checkReason("m", v1alpha1.ConditionReady, v1alpha1.ReasonDuplicate)
	w.checkTold(stored, "Warning Duplicate")
	w.clock.Step(result.RequeueAfter)
	checkAgain(t, w.reconcile("m"), 0)
	w.checkReason("m", v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.checkTold()
}

// A finalizer, which others may set, keeps nobody's turn.
func TestReconcileRivalIsDeleted(t *testing.T) {
	for name, finalizer := range map[string]func(*v1alpha1.UserSecret){"gone": func(*v1alpha1.UserSecret) {}, "held": held} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.store(makeSecret("a", aged(2*time.Hour), finalizer), makeSecret("m"))
			w.reconcile("m")
			w.checkReason("m", v1alpha1.ConditionReady, v1alpha1.ReasonDuplicate)
			w.delete("a")
			checkAgain(t, w.reconcile("m"), 0)
			w.checkReason("m", v1alpha1.ConditionReady, v1alpha1.ReasonReady)
		})
	}
}

func TestReconcileSeveralOfOneTypeWhereTheCatalogueAllows(t *testing.T) {
	w := newWorld(t)
	custom := func(us *v1alpha1.UserSecret) { us.Spec.Provider = "custom" }
	provider := makeProvider("custom")
	provider.Spec.Types[0].AllowMultiple = true
	if err := w.client.Create(t.Context(), provider); err != nil {
		t.Fatal(err)
	}
	w.store(makeSecret("a", custom, expiring(time.Hour)), makeSecret("m", custom))
	checkAgain(t, w.reconcile("m"), 0)
	w.checkReason("m", v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	if again := w.r.siblings(t.Context(), makeSecret("a", custom)); again != nil {
		t.Errorf("one that comes has %v looked at, want none", again)
	}
}
