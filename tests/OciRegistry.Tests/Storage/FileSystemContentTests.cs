using OciRegistry.Storage;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Storage;

public sealed class FileSystemBlobStoreTests : BlobStoreContract, IDisposable
{
    private readonly FileSystemStorage _storage = new();

    public void Dispose() => _storage.Dispose();

    protected override IBlobStore OpenBlobs() => _storage.Blobs();

    protected override IUploadStore OpenUploads() => _storage.Uploads();
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
        await using (var staged = (await _storage.Uploads().OpenAsync(key, 0, default))!)
        {
            await staged.AppendAsync(content, default);
        }

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
        await using (var staged = (await _storage.Uploads().OpenAsync(key, 0, default))!)
        {
            await staged.AppendAsync(content, default);
        }

        var inode = OciRegistry.Storage.FileSystem.Posix.Stat(_storage.Root.StagedGeneration(key))!.Value.Identity;
        await _storage.Uploads().PublishAsync(key, Digest.Of(content), 1_000, default);
        OciRegistry.Storage.FileSystem.Posix.Stat(_storage.Root.Blob(Digest.Of(content)))!.Value.Identity.ShouldBe(inode);
    }
}
