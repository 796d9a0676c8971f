namespace OciRegistry.Storage;

/// <summary>Any blob store, in metrics and traces. What is read of an open blob is counted by who sends it.</summary>
internal sealed class MeasuredBlobStore(IBlobStore store, RegistryMetrics metrics) : IBlobStore
{
    private readonly StoreOperation _stat = new("blobs", "stat", metrics);
    private readonly StoreOperation _open = new("blobs", "open", metrics);
    private readonly StoreOperation _redirect = new("blobs", "redirect", metrics);
    private readonly StoreOperation _delete = new("blobs", "delete", metrics);
    private readonly StoreOperation _deleteMany = new("blobs", "delete_many", metrics);

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

    public ValueTask<bool> DeleteAsync(Digest digest, CancellationToken cancellationToken) =>
        _delete.RunAsync(
            (store, digest, cancellationToken), static call => call.store.DeleteAsync(call.digest, call.cancellationToken));

    public ValueTask<int> DeleteAsync(IEnumerable<Digest> digests, CancellationToken cancellationToken) =>
        _deleteMany.RunAsync(
            (store, digests, cancellationToken), static call => call.store.DeleteAsync(call.digests, call.cancellationToken));

    public IAsyncEnumerable<Digest> ListAsync(CancellationToken cancellationToken) => store.ListAsync(cancellationToken);
}
