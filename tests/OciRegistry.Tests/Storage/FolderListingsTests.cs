using OciRegistry.Storage.FileSystem;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Storage;

public sealed class FolderListingsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("oci-registry-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_change_within_the_same_second_is_seen()
    {
        var listings = new FolderListings(TimeProvider.System);
        for (var i = 0; i < Counts.Of(ci: 500, full: 50_000); i++)
        {
            var file = Path.Combine(_folder, $"{i}@");
            File.WriteAllBytes(file, []);
            listings.Read(_folder).ShouldBe([$"{i}"]);
            File.Delete(file);
            listings.Read(_folder).ShouldBeEmpty();
        }
    }

    [Fact]
    public void A_listing_is_kept_once_its_folder_has_settled_and_not_before()
    {
        var time = new ManualTimeProvider();
        var listings = new FolderListings(time);
        File.WriteAllBytes(Path.Combine(_folder, "a@"), []);
        listings.Read(_folder).ShouldNotBeSameAs(listings.Read(_folder));

        time.Advance(TimeSpan.FromSeconds(5));
        var kept = listings.Read(_folder);
        listings.Read(_folder).ShouldBeSameAs(kept);
    }
}
