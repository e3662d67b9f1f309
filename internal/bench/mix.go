package bench

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sre-agent/sre-agent/internal/webhook/webhooktest"
)

// Mix says what a load's requests are like.
type Mix struct {
	// URL is the address up to the provider's name, such as http://127.0.0.1:8080/webhooks/.
	URL string
	// Senders are taken in turn; Keys has the key of each by its provider's name.
	Senders []webhooktest.Sender
	Keys    map[string]string
	// Size of a body, in bytes.
	Size int
	// Repositories is how many there are; the few first ones fail far more often than the others.
	Repositories int
	// Duplicates is the share of requests that repeat an earlier one, byte for byte.
	Duplicates float64
	// First is the number of the first delivery. Loads whose numbers differ have no delivery in common.
	First int
	// Seed decides which repository each is of, and which are duplicates.
	Seed uint64
	// At is when the pipelines ended and when the requests are signed.
	At time.Time
}

// behind is how far back the original of a duplicate is at least: it has its answer by then.
const behind = 1 << 10

// draw says which request each one repeats (itself, for most), and which repository it is of.
func (m Mix) draw(count int) (origins, repositories []int32) {
	rng := rand.New(rand.NewPCG(m.Seed, uint64(m.First)))
	skew := rand.NewZipf(rng, 1.2, 4, uint64(max(m.Repositories, 1)-1))
	origins, repositories = make([]int32, count), make([]int32, count)
	for n := range count {
		origins[n], repositories[n] = int32(n), int32(skew.Uint64())
		if n >= 2*behind && rng.Float64() < m.Duplicates {
			origins[n] = origins[n-behind-rng.IntN(behind)]
			repositories[n] = repositories[origins[n]]
		}
	}
	return origins, repositories
}

// The marks in a template that a number replaces. Each is as wide as what replaces it.
const (
	markRun      = 7_290_000_000_001
	markCommit   = "c0ffee5eed0c0ffee5eed0c0ffee5eed0c0ffee5"
	markDelivery = "b6a7c3de-9f10-4b7e-8d21-5e0000000001"
)

// runID, commit and deliveryID are the facts of delivery number n.
func runID(n int) int64 { return 8_000_000_000_000 + int64(n) }

func commit(n int) string {
	// Digits as good as random, as those of a commit are.
	x := uint64(n)*0x9e3779b97f4a7c15 + 1
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return fmt.Sprintf("%016x%024x", x^x>>31, n)
}

func deliveryID(n int) string {
	return fmt.Sprintf("%08x-9f10-4b7e-8d21-%012x", uint32(n)*2654435761, n)
}

func (m Mix) params(n int, repository int32) webhooktest.Params {
	return webhooktest.Params{
		DeliveryID: deliveryID(n), RunID: runID(n), Commit: commit(n),
		RepositoryID: 100_000 + int64(repository), Owner: fmt.Sprintf("team-%02d", repository%40), Name: fmt.Sprintf("service-%03d", repository),
		Size: m.Size, At: m.At,
	}
}
