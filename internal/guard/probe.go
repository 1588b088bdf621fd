package guard

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// probed is the policy that refuses what the operator itself may ask by RBAC, and so the
// one that it can see at work.
const probed = "usersecrets-operator-secrets"

// probeNamespaces are in every cluster. In one of them an administrator's own policy may
// refuse first, and then ours is not named.
var probeNamespaces = []string{metav1.NamespaceDefault, metav1.NamespaceSystem}

// probe has a policy refuse something, by a dry run. What is written is enforced a moment
// later, and not at all by an API server with the admission plugin turned off.
func (g *Guard) probe(ctx context.Context) error {
	var answer error
	for _, namespace := range probeNamespaces {
		if namespace == g.goesBy.Namespace {
			continue
		}
		answer = g.live.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "not-a-projection"}, Type: corev1.SecretTypeOpaque,
		}, client.DryRunAll)
		switch {
		case answer == nil:
			return fmt.Errorf("%w: policy %q is there and not enforced, since a Secret that it refuses was let through by dry run: "+
				"wait a moment, or have the API server run its admission plugin ValidatingAdmissionPolicy", ErrNotInPlace, probed)
		case apierrors.IsForbidden(answer) && strings.Contains(answer.Error(), "ValidatingAdmissionPolicy '"+probed+"'"):
			return nil
		}
	}
	return fmt.Errorf("seeing policy %q at work: a Secret that it refuses was to be refused by it, and the answer is: %w", probed, answer)
}
