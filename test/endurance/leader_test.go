package endurance_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"usersecrets.dev/operator/test/rig"
)

// metric is the sum of a metric's samples as a replica shows them.
func metric(ctx context.Context, replica *rig.Replica, name string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, replica.MetricsURL(), nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	found, sum := false, 0.0
	for line := range strings.Lines(string(body)) {
		sample, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if family, _, _ := strings.Cut(sample, "{"); !ok || family != name {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, err
		}
		found, sum = true, sum+n
	}
	if !found {
		return 0, fmt.Errorf("no metric %q", name)
	}
	return sum, nil
}

// leaderOf is the number of the replica that leads, by its own word.
func leaderOf(ctx context.Context, product *rig.Rig) int {
	GinkgoHelper()
	leader := -1
	Eventually(func(g Gomega) {
		leader = -1
		for i := range product.Replicas() {
			if product.Replica(i).Process == nil {
				continue
			}
			leads, err := metric(ctx, product.Replica(i), "leader_election_master_status")
			g.Expect(err).NotTo(HaveOccurred())
			if leads == 1 {
				leader = i
			}
		}
		g.Expect(leader).To(BeNumerically(">=", 0))
	}).Should(Succeed())
	return leader
}

// awaitLead waits until the one operator leads. A process that lost its Lease, as on
// a machine with too much to do, has ended, and is started again as a Deployment does.
func awaitLead(ctx context.Context, product *rig.Rig) {
	GinkgoHelper()
	Eventually(func() (float64, error) {
		if product.Operator == nil || !product.Operator.Running() {
			if err := product.StartOperator(ctx); err != nil {
				return 0, err
			}
		}
		return metric(ctx, product.Replica(0), "leader_election_master_status")
	}).Should(BeEquivalentTo(1))
}

// survivor is the number of the one replica that runs.
func survivor(product *rig.Rig) int {
	if product.Replica(0).Process == nil {
		return 1
	}
	return 0
}
