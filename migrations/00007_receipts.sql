-- What a pull request is made of, signed.

-- +goose Up

-- The receipt in its canonical form, and the content of the .minisig file that goes with it.
alter table publications
    add column receipt text check (length(receipt) between 2 and 100000),
    add column receipt_minisig text check (length(receipt_minisig) between 1 and 10000),
    add constraint publications_signed check ((receipt is null) = (receipt_minisig is null));

-- +goose Down
alter table publications drop constraint publications_signed, drop column receipt_minisig, drop column receipt;
