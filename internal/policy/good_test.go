package policy_test

func good() []specimen { return nil }
