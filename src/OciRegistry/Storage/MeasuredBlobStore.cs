namespace OciRegistry.Storage;

/// <summary>Any blob store, in metrics and traces. What is read of an open blob is counted by who sends it.</summary>
internal sealed class MeasuredBlobStore(IBlobStore store, RegistryMetrics metrics) : IBlobStore
{
    private readonly StoreOperation _stat = new("blobs", "stat", metrics);
    private readonly StoreOperation _open = new("blobs", "open", metrics);
    private readonly StoreOperation _redirect = new("blobs", "redirect", metrics);
    private readonly StoreOperation _delete = new("blobs", "delete", metrics);
    private readonly StoreOperation _confirm = new("blobs", "confirm", metrics);
    private readonly StoreOperation _version = new("blobs", "version", metrics);
    private readonly StoreOperation _renew = new("blobs", "renew", metrics);

    public ValueTask<long?> StatAsync(Digest digest, CancellationToken cancellationToken) =>
        _stat.RunAsync((store, digest, cancellationToken), static call => call.store.StatAsync(call.digest, call.cancellationToken));

    public ValueTask<IBlobContent?> OpenReadAsync(
        Digest digest, long offset, long length, CancellationToken cancellationToken) =>
        _open.RunAsync(
            (store, digest, offset, length, cancellationToken),
            static call => call.store.OpenReadAsync(call.digest, call.offset, call.length, call.cancellationToken));

    public ValueTask<Uri?> RedirectAsync(Digest digest, CancellationToken cancellationToken) =>
        _redirect.RunAsync(
            (store, digest, cancellationToken), static call => call.store.RedirectAsync(call.digest, call.cancellationToken));

    public ValueTask<long?> ConfirmAsync(Digest digest, CancellationToken cancellationToken) =>
        _confirm.RunAsync(
            (store, digest, cancellationToken), static call => call.store.ConfirmAsync(call.digest, call.cancellationToken));

    public ValueTask<string?> VersionAsync(Digest digest, CancellationToken cancellationToken) =>
        _version.RunAsync(
            (store, digest, cancellationToken), static call => call.store.VersionAsync(call.digest, call.cancellationToken));

    public ValueTask<ContentRemoval> RemoveAsync(Digest digest, RemovalMark mark, CancellationToken cancellationToken) =>
        _delete.RunAsync(
            (store, digest, mark, cancellationToken),
            static call => call.store.RemoveAsync(call.digest, call.mark, call.cancellationToken));

    public ValueTask RenewAsync(Digest digest, string? version, CancellationToken cancellationToken) =>
        _renew.RunAsync(
            (store, digest, version, cancellationToken),
            static call => call.store.RenewAsync(call.digest, call.version, call.cancellationToken));

    public IAsyncEnumerable<Digest> ListAsync(CancellationToken cancellationToken) => store.ListAsync(cancellationToken);
}
