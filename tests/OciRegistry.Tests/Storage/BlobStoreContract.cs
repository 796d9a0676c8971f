using OciRegistry.Storage;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Storage;

/// <summary>What every blob store must do; its content comes from the upload store beside it.</summary>
public abstract class BlobStoreContract
{
    private IBlobStore? _blobs;

    private IBlobStore Blobs => _blobs ??= OpenBlobs();

    /// <summary>Another store over the storage of this test, as another process would have.</summary>
    protected abstract IBlobStore OpenBlobs();

    /// <inheritdoc cref="OpenBlobs"/>
    protected abstract IUploadStore OpenUploads();

    /// <summary>The documents beside the content: those that announce removals.</summary>
    protected abstract IDocumentStore OpenDocuments();

    [Theory]
    [InlineData(DigestAlgorithm.Sha256, 0)]
    [InlineData(DigestAlgorithm.Sha256, 100_000)]
    [InlineData(DigestAlgorithm.Sha512, 100_000)]
    public async Task Content_is_found_by_its_digest(DigestAlgorithm algorithm, int size)
    {
        var content = RegistryClient.RandomBytes(size);
        var digest = await AddAsync(content, algorithm);
        (await Blobs.StatAsync(digest, default)).ShouldBe(size);
        await using var blob = (await Blobs.OpenReadAsync(digest, 0, long.MaxValue, default))!;
        blob.Length.ShouldBe(size);
        (await ReadAsync(blob, 0, size + 10)).ShouldBe(content);
    }

    [Fact]
    public async Task Content_that_is_not_there_is_missing_everywhere()
    {
        foreach (var algorithm in Enum.GetValues<DigestAlgorithm>())
        {
            var digest = Digest.Of("nothing"u8, algorithm);
            (await Blobs.StatAsync(digest, default)).ShouldBeNull();
            (await Blobs.OpenReadAsync(digest, 0, long.MaxValue, default)).ShouldBeNull();
            (await Blobs.ConfirmAsync(digest, default)).ShouldBeNull();
            (await Blobs.VersionAsync(digest, default)).ShouldBeNull();
            (await Blobs.RemoveAsync(digest, await MarkAsync(digest), default)).ShouldBe(ContentRemoval.Absent);
        }

        (await ListAsync()).ShouldBeEmpty();
    }

    [Fact]
    public async Task Any_part_can_be_read_and_nothing_is_beyond_the_end()
    {
        var content = RegistryClient.RandomBytes(10_000);
        await using var blob = (await Blobs.OpenReadAsync(await AddAsync(content), 0, 1, default))!;
        (await ReadAsync(blob, 0, 1)).ShouldBe(content[..1]);
        (await ReadAsync(blob, 4_321, 1_000)).ShouldBe(content[4_321..5_321]);
        (await ReadAsync(blob, 9_999, 1)).ShouldBe(content[9_999..]);
        (await blob.ReadAsync(new byte[10], 10_000, default)).ShouldBe(0);
        (await blob.ReadAsync(new byte[10], 20_000, default)).ShouldBe(0);
    }

    [Fact]
    public async Task Who_reads_from_one_end_to_the_other_gets_all_whatever_happens_to_it()
    {
        var content = RegistryClient.RandomBytes(200_000);
        var digest = await AddAsync(content);
        await using var blob = (await Blobs.OpenReadAsync(digest, 0, content.Length, default))!;
        await AddAsync(content);
        (await ReadAsync(blob, 0, 1_000)).ShouldBe(content[..1_000]);
        (await OpenBlobs().RemoveAsync(digest, await MarkAsync(digest), default)).ShouldBe(ContentRemoval.Removed);
        (await ReadAsync(blob, 1_000, content.Length)).ShouldBe(content[1_000..]);
    }

    [Fact]
    public async Task Removed_content_is_gone_once_and_can_come_back()
    {
        var content = RegistryClient.RandomBytes(100);
        var digest = await AddAsync(content);
        (await Blobs.ConfirmAsync(digest, default)).ShouldBe(100);
        var mark = await MarkAsync(digest);
        (await Blobs.RemoveAsync(digest, mark, default)).ShouldBe(ContentRemoval.Removed);
        (await Blobs.RemoveAsync(digest, mark, default)).ShouldBe(ContentRemoval.Absent);
        (await Blobs.StatAsync(digest, default)).ShouldBeNull();
        (await Blobs.ConfirmAsync(digest, default)).ShouldBeNull();
        (await AddAsync(content)).ShouldBe(digest);
        (await Blobs.StatAsync(digest, default)).ShouldBe(100);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_removal_that_was_taken_over_deletes_nothing(bool isPublishedAgain)
    {
        var content = RegistryClient.RandomBytes(100);
        var digest = await AddAsync(content);
        var mark = await MarkAsync(digest);
        var other = OpenBlobs();
        await other.RenewAsync(digest, mark.Content, default);
        await other.RenewAsync(digest, mark.Content, default);
        await OpenDocuments().DeleteAsync(mark.Document, WriteCondition.Unchanged(mark.Version), Durability.Synced, default);
        if (isPublishedAgain)
        {
            await AddAsync(content);
        }

        (await Blobs.RemoveAsync(digest, mark, default)).ShouldBe(ContentRemoval.Refused);

        (await OpenBlobs().ConfirmAsync(digest, default)).ShouldBe(100);
        await using var blob = (await OpenBlobs().OpenReadAsync(digest, 0, 100, default))!;
        (await ReadAsync(blob, 0, 100)).ShouldBe(content);
    }

    [Fact]
    public async Task A_removal_that_lands_after_another_and_a_push_deletes_nothing()
    {
        var content = RegistryClient.RandomBytes(100);
        var digest = await AddAsync(content);
        var late = await MarkAsync(digest);
        var resumed = await MarkAsync(digest);
        (await OpenBlobs().RemoveAsync(digest, resumed, default)).ShouldBe(ContentRemoval.Removed);
        await OpenBlobs().RenewAsync(digest, resumed.Content, default);
        await AddAsync(content);

        (await Blobs.RemoveAsync(digest, late, default)).ShouldBe(ContentRemoval.Refused);

        (await OpenBlobs().ConfirmAsync(digest, default)).ShouldBe(100);
    }

    [Fact]
    public async Task The_list_has_every_digest_once()
    {
        var added = new List<Digest> { await AddAsync([]) };
        for (var i = 0; i < 20; i++)
        {
            added.Add(await AddAsync(RegistryClient.RandomBytes(10), (DigestAlgorithm)(i % 2)));
        }

        (await ListAsync()).ShouldBe(added, ignoreOrder: true);
    }

    [Fact]
    public async Task A_cancelled_call_changes_nothing()
    {
        var cancelled = new CancellationToken(canceled: true);
        var digest = await AddAsync(RegistryClient.RandomBytes(10));
        await Should.ThrowAsync<OperationCanceledException>(async () => await Blobs.StatAsync(digest, cancelled));
        await Should.ThrowAsync<OperationCanceledException>(async () => await Blobs.OpenReadAsync(digest, 0, 10, cancelled));
        await Should.ThrowAsync<OperationCanceledException>(async () => await Blobs.ConfirmAsync(digest, cancelled));
        var mark = await MarkAsync(digest);
        await Should.ThrowAsync<OperationCanceledException>(async () => await Blobs.RemoveAsync(digest, mark, cancelled));
        (await Blobs.StatAsync(digest, default)).ShouldBe(10);
    }

    /// <summary>Announces the removal of content, over any announcement before.</summary>
    private async Task<RemovalMark> MarkAsync(Digest digest)
    {
        var content = await Blobs.VersionAsync(digest, default);
        var document = RegistryLayout.Condemnation(digest);
        var version = await OpenDocuments().WriteAsync(
            document, "{}"u8.ToArray(), WriteCondition.None, Durability.Synced, default);
        return new RemovalMark(document, version!, content);
    }

    private async Task<Digest> AddAsync(byte[] content, DigestAlgorithm algorithm = DigestAlgorithm.Sha256)
    {
        var uploads = OpenUploads();
        var key = new StagedKey(UploadSessionId.New(), 0);
        await using (var staged = (await uploads.OpenAsync(key, 0, default))!)
        {
            await staged.AppendAsync(content, default);
            await staged.FlushAsync(default);
            key = key with { Parts = staged.Parts };
        }

        var digest = Digest.Of(content, algorithm);
        (await uploads.PublishAsync(key, digest, content.Length, default)).ShouldBe(PublishResult.Published);
        return digest;
    }

    private static async Task<byte[]> ReadAsync(IBlobContent blob, long offset, int length)
    {
        var content = new byte[length];
        var total = 0;
        while (total < length && await blob.ReadAsync(content.AsMemory(total), offset + total, default) is > 0 and var read)
        {
            total += read;
        }

        return content[..total];
    }

    private async Task<List<Digest>> ListAsync()
    {
        var digests = new List<Digest>();
        await foreach (var digest in OpenBlobs().ListAsync(default))
        {
            digests.Add(digest);
        }

        return digests;
    }
}
