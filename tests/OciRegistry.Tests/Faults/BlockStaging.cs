using System.Globalization;
using OciRegistry.Storage;

namespace OciRegistry.Tests.Faults;

/// <summary>
/// Makes a store of files behave as one that stages in blocks: nothing is gone on with in place, and where bytes are, of which
/// only those count that were flushed, is known only from what was recorded with them. With
/// <c>OCI_REGISTRY_TESTS_STAGING=blocks</c> every registry of the fault tests stores so; those that are about files say so
/// by a trait.
/// </summary>
internal sealed class BlockStaging(IUploadStore inner) : IUploadStore
{
    public static bool IsWanted { get; } = Environment.GetEnvironmentVariable("OCI_REGISTRY_TESTS_STAGING") == "blocks";

    public string Epoch => inner.Epoch;

    public bool AppendsInPlace => false;

    public async ValueTask<IStagedBlob?> OpenAsync(StagedKey key, long offset, CancellationToken cancellationToken) =>
        offset == 0 && await inner.OpenAsync(key, 0, cancellationToken) is { } staged ? new BlockStaged(staged, key) : null;

    public async ValueTask<IStagedBlob?> ForkAsync(
        StagedKey source, long length, StagedKey target, CancellationToken cancellationToken) =>
        length == 0 || LengthOf(source) == length
            ? await inner.ForkAsync(Located(source), length, target, cancellationToken) is { } staged
                ? new BlockStaged(staged, target)
                : null
            : null;

    public ValueTask<IBlobContent?> OpenReadAsync(StagedKey key, CancellationToken cancellationToken) =>
        inner.OpenReadAsync(Located(key), cancellationToken);

    public ValueTask<long> LengthAsync(StagedKey key, CancellationToken cancellationToken) =>
        inner.LengthAsync(Located(key), cancellationToken);

    /// <summary>Parts that do not make up the blob are nothing staged: the store finds that another has published it, or nothing.</summary>
    public ValueTask<PublishResult> PublishAsync(
        StagedKey key, Digest digest, long size, CancellationToken cancellationToken) =>
        inner.PublishAsync(
            size == 0 || LengthOf(key) == size ? Located(key) : new StagedKey(key.Session, int.MaxValue), digest, size, cancellationToken);

    public ValueTask DiscardAsync(StagedKey key, CancellationToken cancellationToken) =>
        inner.DiscardAsync(key, cancellationToken);

    public IAsyncEnumerable<StagedKey> ListAsync(DateTimeOffset before, CancellationToken cancellationToken) =>
        inner.ListAsync(before, cancellationToken);

    private static string PartsOf(StagedKey key, long length) =>
        string.Create(CultureInfo.InvariantCulture, $"{length} in {key.Generation}");

    /// <summary>The parts alone say where the bytes are, whatever generation was recorded beside them.</summary>
    private static StagedKey Located(StagedKey key) => key.Parts?.Split(' ') is [_, _, var generation]
        ? new StagedKey(key.Session, int.Parse(generation, CultureInfo.InvariantCulture))
        : key;

    private static long LengthOf(StagedKey key) =>
        key.Parts is { } parts ? long.Parse(parts.Split(' ')[0], CultureInfo.InvariantCulture) : 0;

    private sealed class BlockStaged(IStagedBlob inner, StagedKey key) : IStagedBlob
    {
        private bool _isBroken;

        public long Length => inner.Length;

        public string? Parts { get; private set; } = PartsOf(key, inner.Length); // all of a fork was copied

        public async ValueTask AppendAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
        {
            try
            {
                await inner.AppendAsync(bytes, cancellationToken);
            }
            catch
            {
                _isBroken = true; // a gap: nothing behind it counts, and what was not flushed before does not either
                throw;
            }
        }

        public async ValueTask FlushAsync(CancellationToken cancellationToken)
        {
            if (_isBroken)
            {
                throw FaultPlan.Down();
            }

            await inner.FlushAsync(cancellationToken);
            Parts = PartsOf(key, inner.Length);
        }

        public ValueTask DisposeAsync() => inner.DisposeAsync();
    }
}
