namespace OciRegistry.Storage;

/// <summary>Any upload store, in metrics and traces.</summary>
internal sealed class MeasuredUploadStore(IUploadStore store, RegistryMetrics metrics) : IUploadStore
{
    private readonly StoreOperation _open = new("uploads", "open", metrics);
    private readonly StoreOperation _append = new("uploads", "append", metrics);
    private readonly StoreOperation _flush = new("uploads", "flush", metrics);
    private readonly StoreOperation _read = new("uploads", "read", metrics);
    private readonly StoreOperation _length = new("uploads", "length", metrics);
    private readonly StoreOperation _fork = new("uploads", "fork", metrics);
    private readonly StoreOperation _publish = new("uploads", "publish", metrics);
    private readonly StoreOperation _discard = new("uploads", "discard", metrics);

    public string Epoch => store.Epoch;

    public bool AppendsInPlace => store.AppendsInPlace;

    public async ValueTask<IStagedBlob?> OpenAsync(StagedKey key, long offset, CancellationToken cancellationToken) =>
        Measured(await _open.RunAsync(
            (store, key, offset, cancellationToken),
            static call => call.store.OpenAsync(call.key, call.offset, call.cancellationToken)));

    public ValueTask<IBlobContent?> OpenReadAsync(StagedKey key, CancellationToken cancellationToken) =>
        _read.RunAsync((store, key, cancellationToken), static call => call.store.OpenReadAsync(call.key, call.cancellationToken));

    public ValueTask<long> LengthAsync(StagedKey key, CancellationToken cancellationToken) =>
        _length.RunAsync((store, key, cancellationToken), static call => call.store.LengthAsync(call.key, call.cancellationToken));

    public async ValueTask<IStagedBlob?> ForkAsync(
        StagedKey source, long length, StagedKey target, CancellationToken cancellationToken) =>
        Measured(await _fork.RunAsync(
            (store, source, length, target, cancellationToken),
            static call => call.store.ForkAsync(call.source, call.length, call.target, call.cancellationToken)));

    public ValueTask<PublishResult> PublishAsync(
        StagedKey key, Digest digest, long size, CancellationToken cancellationToken) =>
        _publish.RunAsync(
            (store, key, digest, size, cancellationToken),
            static call => call.store.PublishAsync(call.key, call.digest, call.size, call.cancellationToken));

    public ValueTask TrimAsync(StagedKey key, long length, CancellationToken cancellationToken) =>
        store.TrimAsync(key, length, cancellationToken);

    public ValueTask DiscardAsync(StagedKey key, CancellationToken cancellationToken) =>
        _discard.RunAsync((store, key, cancellationToken), static call => call.store.DiscardAsync(call.key, call.cancellationToken));

    public IAsyncEnumerable<StagedKey> ListAsync(DateTimeOffset before, CancellationToken cancellationToken) =>
        store.ListAsync(before, cancellationToken);

    private MeasuredStagedBlob? Measured(IStagedBlob? staged) => staged is null ? null : new MeasuredStagedBlob(staged, _append, _flush);

    private sealed class MeasuredStagedBlob(IStagedBlob staged, StoreOperation append, StoreOperation flush) : IStagedBlob
    {
        public long Length => staged.Length;

        public string? Parts => staged.Parts;

        public bool IsSuspect => staged.IsSuspect;

        public ValueTask AppendAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken) =>
            append.RunAsync((staged, bytes, cancellationToken), static call => call.staged.AppendAsync(call.bytes, call.cancellationToken));

        public ValueTask FlushAsync(CancellationToken cancellationToken) =>
            flush.RunAsync((staged, cancellationToken), static call => call.staged.FlushAsync(call.cancellationToken));

        public ValueTask DisposeAsync() => staged.DisposeAsync();
    }
}
