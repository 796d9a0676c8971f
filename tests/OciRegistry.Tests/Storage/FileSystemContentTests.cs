using OciRegistry.Storage;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Storage;

public sealed class FileSystemBlobStoreTests : BlobStoreContract, IDisposable
{
    private readonly FileSystemStorage _storage = new();

    public void Dispose() => _storage.Dispose();

    protected override IBlobStore OpenBlobs() => _storage.Blobs();

    protected override IUploadStore OpenUploads() => _storage.Uploads();

    protected override IDocumentStore OpenDocuments() => _storage.Documents();
}

public sealed class FileSystemUploadStoreTests : UploadStoreContract, IDisposable
{
    private readonly FileSystemStorage _storage = new();

    public void Dispose() => _storage.Dispose();

    protected override IUploadStore OpenUploads() => _storage.Uploads();

    protected override IBlobStore OpenBlobs() => _storage.Blobs();

    [Fact]
    public async Task Content_of_another_size_is_replaced_and_kept_in_quarantine()
    {
        // R4.5: existing does not mean good.
        var content = RegistryClient.RandomBytes(1_000);
        var digest = Digest.Of(content);
        var file = new FileInfo(_storage.Root.Blob(digest));
        file.Directory!.Create();
        await File.WriteAllBytesAsync(file.FullName, content[..600]);

        var key = new StagedKey(UploadSessionId.New(), 0);
        await StageAsync(key, content);

        (await _storage.Uploads().PublishAsync(key, digest, 1_000, default)).ShouldBe(PublishResult.Published);
        (await File.ReadAllBytesAsync(file.FullName)).ShouldBe(content);
        var kept = Directory.EnumerateFiles(_storage.Root.Quarantine).ShouldHaveSingleItem();
        (await File.ReadAllBytesAsync(kept)).ShouldBe(content[..600]);
    }

    [Fact]
    public async Task Staged_content_becomes_the_blob_without_being_copied()
    {
        var content = RegistryClient.RandomBytes(1_000);
        var key = new StagedKey(UploadSessionId.New(), 0);
        await StageAsync(key, content);

        var inode = OciRegistry.Storage.FileSystem.Posix.Stat(_storage.Root.StagedGeneration(key))!.Value.Identity;
        await _storage.Uploads().PublishAsync(key, Digest.Of(content), 1_000, default);
        OciRegistry.Storage.FileSystem.Posix.Stat(_storage.Root.Blob(Digest.Of(content)))!.Value.Identity.ShouldBe(inode);
    }
    [Fact]
    public async Task Staged_bytes_are_read_by_many_while_one_writes()
    {
        await using var writing = (await Uploads.OpenAsync(Generation(0), 0, default))!;
        await writing.AppendAsync("hello "u8.ToArray(), default);
        await using var one = (await OpenUploads().OpenReadAsync(Generation(0), default))!;
        (await ReadAsync(Generation(0))).ShouldBe("hello "u8.ToArray());
        await writing.AppendAsync("world"u8.ToArray(), default);
        var buffer = new byte[6];
        (await one.ReadAsync(buffer, 0, default)).ShouldBe(6);
        buffer.ShouldBe("hello "u8.ToArray());
        (await Uploads.OpenReadAsync(Generation(7), default)).ShouldBeNull();
    }

    [Fact]
    public async Task The_first_append_cuts_off_what_is_beyond_and_opening_does_not()
    {
        await StageAsync(Generation(0), "hello world"u8.ToArray());
        await using (var staged = (await Uploads.OpenAsync(Generation(0), 5, default))!)
        {
            // Whoever has it open may find out only now that it is no longer his turn.
            staged.Length.ShouldBe(5);
        }

        (await Uploads.LengthAsync(Generation(0), default)).ShouldBe(11);
        await using (var staged = (await Uploads.OpenAsync(Generation(0), 5, default))!)
        {
            await staged.AppendAsync("!"u8.ToArray(), default);
            (await ReadAsync(Generation(0))).ShouldBe("hello!"u8.ToArray());
        }

        (await Uploads.LengthAsync(Generation(0), default)).ShouldBe(6);
    }

    [Fact]
    public async Task A_generation_has_one_writer()
    {
        var first = (await Uploads.OpenAsync(Generation(0), 0, default))!;
        await first.AppendAsync("first"u8.ToArray(), default);
        (await Uploads.OpenAsync(Generation(0), 0, default)).ShouldBeNull();
        (await OpenUploads().OpenAsync(Generation(0), 0, default)).ShouldBeNull();
        (await Uploads.LengthAsync(Generation(0), default)).ShouldBe(5);

        await first.DisposeAsync();
        await using var second = await OpenUploads().OpenAsync(Generation(0), 5, default);
        second.ShouldNotBeNull();
    }

    [Fact]
    public async Task What_a_writer_has_open_is_not_published_but_a_fork_of_it_is()
    {
        var content = RegistryClient.RandomBytes(1_000);
        await using var paused = (await Uploads.OpenAsync(Generation(0), 0, default))!;
        await paused.AppendAsync(content, default);
        (await PublishAsync(Generation(0), content, OpenUploads())).ShouldBe(PublishResult.Busy);
        (await Blobs.StatAsync(Digest.Of(content), default)).ShouldBeNull();

        var fork = (await Uploads.ForkAsync(Generation(0), content.Length, Generation(1), default))!;
        await fork.DisposeAsync();
        (await PublishAsync(Generation(1), content)).ShouldBe(PublishResult.Published);

        // The paused one wakes: what it writes is nobody's.
        await paused.AppendAsync("late"u8.ToArray(), default);
        (await BlobAsync(Digest.Of(content))).ShouldBe(content);
        (await PublishAsync(Generation(0), content)).ShouldBe(PublishResult.Busy);
    }

    [Fact]
    public async Task Sessions_are_listed_by_when_they_were_last_written_to()
    {
        var before = DateTimeOffset.UtcNow.AddMinutes(-1);
        var other = UploadSessionId.New();
        await StageAsync(Generation(0), "x"u8.ToArray());
        await StageAsync(Generation(1), "x"u8.ToArray());
        await StageAsync(new StagedKey(other, 0), "x"u8.ToArray());
        (await SessionsAsync(before)).ShouldBeEmpty();
        (await SessionsAsync(DateTimeOffset.UtcNow.AddMinutes(1))).ShouldBe([Generation(0).Session, other], ignoreOrder: true);
    }
}
