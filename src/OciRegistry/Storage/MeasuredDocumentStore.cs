namespace OciRegistry.Storage;

/// <summary>Any document store, in metrics and traces.</summary>
internal sealed class MeasuredDocumentStore(IDocumentStore store, RegistryMetrics metrics) : IDocumentStore
{
    private readonly StoreOperation _read = new("documents", "read", metrics);
    private readonly StoreOperation _exists = new("documents", "exists", metrics);
    private readonly StoreOperation _write = new("documents", "write", metrics);
    private readonly StoreOperation _confirm = new("documents", "confirm", metrics);
    private readonly StoreOperation _delete = new("documents", "delete", metrics);
    private readonly StoreOperation _list = new("documents", "list", metrics);
    private readonly StoreOperation _any = new("documents", "any", metrics);

    public ValueTask<Document?> ReadAsync(DocumentKey key, CancellationToken cancellationToken) =>
        _read.RunAsync((store, key, cancellationToken), static call => call.store.ReadAsync(call.key, call.cancellationToken));

    public ValueTask<int> ReadPartAsync(DocumentKey key, long offset, Memory<byte> buffer, CancellationToken cancellationToken) =>
        _read.RunAsync(
            (store, key, offset, buffer, cancellationToken),
            static call => call.store.ReadPartAsync(call.key, call.offset, call.buffer, call.cancellationToken));

    public ValueTask<string?> WriteAsync(
        DocumentKey key,
        ReadOnlyMemory<byte> content,
        WriteCondition condition,
        Durability durability,
        CancellationToken cancellationToken) =>
        _write.RunAsync(
            (store, key, content, condition, durability, cancellationToken),
            static call => call.store.WriteAsync(call.key, call.content, call.condition, call.durability, call.cancellationToken));

    public ValueTask ConfirmAsync(DocumentKey key, CancellationToken cancellationToken) =>
        _confirm.RunAsync((store, key, cancellationToken), static call => call.store.ConfirmAsync(call.key, call.cancellationToken));

    public ValueTask<bool> DeleteAsync(
        DocumentKey key, WriteCondition condition, Durability durability, CancellationToken cancellationToken) =>
        _delete.RunAsync(
            (store, key, condition, durability, cancellationToken),
            static call => call.store.DeleteAsync(call.key, call.condition, call.durability, call.cancellationToken));

    public ValueTask<IReadOnlyList<string>> ListAsync(
        string folder, string? after, int limit, CancellationToken cancellationToken) =>
        _list.RunAsync(
            (store, folder, after, limit, cancellationToken),
            static call => call.store.ListAsync(call.folder, call.after, call.limit, call.cancellationToken));

    public ValueTask<IReadOnlyList<string>> ListFreshAsync(
        string folder, string? after, int limit, CancellationToken cancellationToken) =>
        _list.RunAsync(
            (store, folder, after, limit, cancellationToken),
            static call => call.store.ListFreshAsync(call.folder, call.after, call.limit, call.cancellationToken));

    public ValueTask<bool> ExistsAsync(DocumentKey key, CancellationToken cancellationToken) =>
        _exists.RunAsync((store, key, cancellationToken), static call => call.store.ExistsAsync(call.key, call.cancellationToken));

    public ValueTask<bool> AnyAsync(string folder, CancellationToken cancellationToken) =>
        _any.RunAsync((store, folder, cancellationToken), static call => call.store.AnyAsync(call.folder, call.cancellationToken));
}
