using System.Runtime.CompilerServices;
using OciRegistry.Storage;

namespace OciRegistry.Tests.Faults;

internal sealed class FaultyDocumentStore(IDocumentStore inner, FaultPlan plan) : IDocumentStore
{
    public ValueTask<Document?> ReadAsync(DocumentKey key, CancellationToken cancellationToken) =>
        plan.RunAsync(StoreCall.DocumentRead, key.ToString(), () => inner.ReadAsync(key, cancellationToken));

    public ValueTask<int> ReadPartAsync(DocumentKey key, long offset, Memory<byte> buffer, CancellationToken cancellationToken) =>
        plan.RunAsync(StoreCall.DocumentRead, key.ToString(), () => inner.ReadPartAsync(key, offset, buffer, cancellationToken));

    public ValueTask<string?> WriteAsync(
        DocumentKey key,
        ReadOnlyMemory<byte> content,
        WriteCondition condition,
        Durability durability,
        CancellationToken cancellationToken) =>
        plan.RunAsync(
            StoreCall.DocumentWrite,
            key.ToString(),
            () => inner.WriteAsync(key, content, condition, durability, cancellationToken));

    public ValueTask ConfirmAsync(DocumentKey key, CancellationToken cancellationToken) =>
        plan.RunAsync(StoreCall.DocumentConfirm, key.ToString(), () => inner.ConfirmAsync(key, cancellationToken));

    public ValueTask<bool> DeleteAsync(
        DocumentKey key, WriteCondition condition, Durability durability, CancellationToken cancellationToken) =>
        plan.RunAsync(
            StoreCall.DocumentDelete,
            key.ToString(),
            () => inner.DeleteAsync(key, condition, durability, cancellationToken));

    public ValueTask<IReadOnlyList<string>> ListAsync(
        string folder, string? after, int limit, CancellationToken cancellationToken) =>
        plan.RunAsync(StoreCall.DocumentList, folder, () => inner.ListAsync(folder, after, limit, cancellationToken));

    public ValueTask<IReadOnlyList<string>> ListFreshAsync(
        string folder, string? after, int limit, CancellationToken cancellationToken) =>
        plan.RunAsync(StoreCall.DocumentList, folder, () => inner.ListFreshAsync(folder, after, limit, cancellationToken));

    public ValueTask<bool> ExistsAsync(DocumentKey key, CancellationToken cancellationToken) =>
        plan.RunAsync(StoreCall.DocumentRead, key.ToString(), () => inner.ExistsAsync(key, cancellationToken));

    public ValueTask<bool> AnyAsync(string folder, CancellationToken cancellationToken) =>
        plan.RunAsync(StoreCall.DocumentList, folder, () => inner.AnyAsync(folder, cancellationToken));
}

internal sealed class FaultyUploadStore(IUploadStore inner, FaultPlan plan) : IUploadStore
{
    // Where every writer forks, that is how staged bytes are opened.
    private static readonly StoreCall Forking = BlockStaging.IsWanted ? StoreCall.StagedOpen : StoreCall.StagedFork;

    public string Epoch => inner.Epoch;

    public bool AppendsInPlace => inner.AppendsInPlace;

    public ValueTask<IStagedBlob?> OpenAsync(StagedKey key, long offset, CancellationToken cancellationToken) =>
        plan.RunAsync<IStagedBlob?>(
            StoreCall.StagedOpen,
            Name(key),
            async () => Wrap(StoreCall.StagedOpen, key, await inner.OpenAsync(key, offset, cancellationToken)));

    public ValueTask<IBlobContent?> OpenReadAsync(StagedKey key, CancellationToken cancellationToken) =>
        plan.RunAsync(StoreCall.StagedRead, Name(key), () => inner.OpenReadAsync(key, cancellationToken));

    public ValueTask<long> LengthAsync(StagedKey key, CancellationToken cancellationToken) =>
        plan.RunAsync(StoreCall.StagedLength, Name(key), () => inner.LengthAsync(key, cancellationToken));

    public ValueTask<IStagedBlob?> ForkAsync(
        StagedKey source, long length, StagedKey target, CancellationToken cancellationToken) =>
        plan.RunAsync<IStagedBlob?>(
            Forking,
            Name(target),
            async () => Wrap(
                Forking, target, await inner.ForkAsync(source, length, target, cancellationToken)));

    public ValueTask<PublishResult> PublishAsync(
        StagedKey key, Digest digest, long size, CancellationToken cancellationToken) =>
        plan.RunAsync(StoreCall.StagedPublish, Name(key), () =>
        {
            plan.Weak?.Write(StoreCall.StagedPublish, digest.ToString());
            return inner.PublishAsync(key, digest, size, cancellationToken);
        });

    public ValueTask TrimAsync(StagedKey key, long length, CancellationToken cancellationToken) =>
        inner.TrimAsync(key, length, cancellationToken);

    public ValueTask DiscardAsync(StagedKey key, CancellationToken cancellationToken) =>
        plan.RunAsync(
            StoreCall.StagedDiscard, key.Session.ToString(), () => inner.DiscardAsync(key, cancellationToken));

    public async IAsyncEnumerable<StagedKey> ListAsync(
        DateTimeOffset before, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await plan.RunAsync(StoreCall.StagedList, "", () => ValueTask.CompletedTask);
        await foreach (var staged in inner.ListAsync(before, cancellationToken))
        {
            if (plan.Weak?.Lists(staged.Session.ToString()) ?? true)
            {
                yield return staged;
            }
        }
    }

    private static string Name(StagedKey key) => $"{key.Session}/{key.Generation}";

    private FaultyStagedBlob? Wrap(StoreCall call, StagedKey key, IStagedBlob? staged)
    {
        plan.Weak?.Write(call, key.Session.ToString());
        return staged is null ? null : new FaultyStagedBlob(staged, Name(key), plan);
    }
}

internal sealed class FaultyStagedBlob(IStagedBlob inner, string name, FaultPlan plan) : IStagedBlob
{
    public long Length => inner.Length;

    public string? Parts => inner.Parts;

    public bool IsSuspect => inner.IsSuspect || plan.LosesWrites;

    public ValueTask FlushAsync(CancellationToken cancellationToken) => inner.FlushAsync(cancellationToken);

    public ValueTask AppendAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken) =>
        plan.RunAsync(StoreCall.StagedAppend, name, async () =>
        {
            if (plan.TearsAppendAt(bytes.Length) is { } torn)
            {
                await inner.AppendAsync(bytes[..torn], cancellationToken);
                throw FaultPlan.Down();
            }

            await inner.AppendAsync(bytes, cancellationToken);
        });

    // The kernel closes a dead process's files, so this works whatever was planned.
    public ValueTask DisposeAsync() => inner.DisposeAsync();
}

internal sealed class FaultyBlobStore(IBlobStore inner, FaultPlan plan) : IBlobStore
{
    public ValueTask<long?> StatAsync(Digest digest, CancellationToken cancellationToken) =>
        plan.RunAsync(StoreCall.BlobStat, digest.ToString(), async () =>
            plan.HidesContentFromLooks-- > 0 || !Finds(digest) ? null : await inner.StatAsync(digest, cancellationToken));

    public ValueTask<IBlobContent?> OpenReadAsync(
        Digest digest, long offset, long length, CancellationToken cancellationToken) =>
        plan.RunAsync<IBlobContent?>(
            StoreCall.BlobOpen,
            digest.ToString(),
            async () => Finds(digest) && await inner.OpenReadAsync(digest, offset, length, cancellationToken) is { } content
                ? new FaultyBlobContent(content, digest.ToString(), plan)
                : null);

    public ValueTask<long?> ConfirmAsync(Digest digest, CancellationToken cancellationToken) =>
        plan.RunAsync(StoreCall.BlobStat, digest.ToString(), async () =>
            plan.HidesContentFromLooks-- > 0 || !Finds(digest) ? null : await inner.ConfirmAsync(digest, cancellationToken));

    public ValueTask<string?> VersionAsync(Digest digest, CancellationToken cancellationToken) =>
        plan.RunAsync(StoreCall.BlobVersion, digest.ToString(), () => inner.VersionAsync(digest, cancellationToken));

    public ValueTask<ContentRemoval> RemoveAsync(Digest digest, RemovalMark mark, CancellationToken cancellationToken) =>
        plan.RunAsync(StoreCall.BlobDelete, digest.ToString(), () => inner.RemoveAsync(digest, mark, cancellationToken));

    public ValueTask RenewAsync(Digest digest, string? version, CancellationToken cancellationToken) =>
        plan.RunAsync(StoreCall.BlobRenew, digest.ToString(), () => inner.RenewAsync(digest, version, cancellationToken));

    public async IAsyncEnumerable<Digest> ListAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await plan.RunAsync(StoreCall.BlobList, "", () => ValueTask.CompletedTask);
        await foreach (var digest in inner.ListAsync(cancellationToken))
        {
            if (plan.Weak?.Lists(digest.ToString()) ?? true)
            {
                yield return digest;
            }
        }
    }

    private bool Finds(Digest digest) => plan.Weak?.Finds(digest.ToString()) ?? true;
}

internal sealed class FaultyBlobContent(IBlobContent inner, string name, FaultPlan plan) : IBlobContent
{
    public long Length => inner.Length;

    public ValueTask<int> ReadAsync(Memory<byte> buffer, long offset, CancellationToken cancellationToken) =>
        plan.RunAsync(StoreCall.BlobRead, name, () => plan.FailsReadsAt is not { } end
            ? inner.ReadAsync(buffer, offset, cancellationToken)
            : offset < end
                ? inner.ReadAsync(buffer[..(int)Math.Min(buffer.Length, end - offset)], offset, cancellationToken)
                : throw FaultPlan.Down());

    public ValueTask DisposeAsync() => inner.DisposeAsync();
}
