using Azure;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using OciRegistry.Azure;
using OciRegistry.Hosting;
using OciRegistry.Server.Settings;
using OciRegistry.Storage;
using OciRegistry.Storage.FileSystem;

namespace OciRegistry.Tests.Server;

/// <summary>From the settings to the stores that are used.</summary>
public sealed class AzureSettingsTests
{
    private const string Section = "OciRegistry:Storage:AzureBlobs";
    private const string Key = "c2VjcmV0c2VjcmV0c2VjcmV0";
    private const string Secret = $"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={Key}";

    [Fact]
    public async Task Without_a_setting_everything_is_in_a_folder()
    {
        await using var services = Services();
        services.GetRequiredKeyedService<IDocumentStore>(Measurement.Inner).ShouldBeOfType<FileSystemDocumentStore>();
        services.GetServices<IHostedService>().ShouldContain(service => service is TemporaryFiles);
    }

    [Fact]
    public async Task With_a_connection_string_everything_is_in_a_container_and_nothing_in_a_folder()
    {
        await using var services = Services(("ConnectionString", Secret), ("Container", "images"), ("Prefix", "/team/a/"));
        services.GetRequiredKeyedService<IDocumentStore>(Measurement.Inner).ShouldBeOfType<AzureDocumentStore>();
        services.GetRequiredKeyedService<IUploadStore>(Measurement.Inner).ShouldBeOfType<AzureUploadStore>();
        services.GetRequiredKeyedService<IBlobStore>(Measurement.Inner).ShouldBeOfType<AzureBlobStore>();
        services.GetRequiredService<IStorageProbe>().ShouldBeOfType<AzureProbe>();
        services.GetServices<IHostedService>().ShouldNotContain(service => service is TemporaryFiles);
        var container = services.GetRequiredService<AzureContainer>();
        container.Address.ShouldBe("https://a.blob.core.windows.net/images");
        container.Prefixed("x").ShouldBe("team/a/x");
    }

    [Theory]
    [InlineData("https://a.blob.core.windows.net", Key)]
    [InlineData("http://127.0.0.1:10000/devstoreaccount1", Key)]
    [InlineData("https://a.blob.core.windows.net?sv=2023-08-03&sig=c2VjcmV0", null)]
    [InlineData("https://a.blob.core.windows.net", null)]
    public async Task An_address_goes_with_a_key_with_a_SAS_or_with_an_identity(string uri, string? key)
    {
        await using var services = key is null
            ? Services(("ServiceUri", uri))
            : Services(("ServiceUri", uri), ("AccountKey", key));
        services.GetRequiredService<AzureContainer>().Address.ShouldBe($"{uri.Split('?')[0]}/registry");
    }

    [Theory]
    [InlineData("ServiceUri", "a.blob.core.windows.net", "ServiceUri is no address")]
    [InlineData("ServiceUri", "http://a.blob.core.windows.net", "over which no identity is sent")]
    [InlineData("ConnectionString", "AccountKey=c2VjcmV0", "ConnectionString is none")]
    [InlineData("Container", "Images", "Container is no container's name")]
    [InlineData("Prefix", "a/../b", "Prefix has something")]
    [InlineData("Prefix", "a b", "Prefix has something")]
    [InlineData("RedirectLifetime", "02:00:00", "RedirectLifetime is 02:00:00")]
    [InlineData("Timeout", "00:00:00", "Timeout is 00:00:00")]
    [InlineData("RetryFor", "-00:00:01", "RetryFor must not be negative")]
    [InlineData("BlockSize", "1000", "BlockSize is 1000")]
    [InlineData("BlockBuffer", "1000", "BlockBuffer is 1000")]
    public void What_is_wrong_is_said_with_its_remedy_and_without_any_secret(string name, string value, string said)
    {
        var settings = new Dictionary<string, string?> { [$"{Section}:{name}"] = value };
        if (name is not ("ServiceUri" or "ConnectionString"))
        {
            settings[$"{Section}:ConnectionString"] = Secret;
        }

        var problem = SettingsCheck.Problems(Configuration(settings)).ShouldHaveSingleItem();

        problem.ShouldStartWith(Section);
        problem.ShouldContain(said);
        problem.ShouldNotContain("c2VjcmV0");
    }

    [Fact]
    public void What_contradicts_itself_is_said_too()
    {
        SettingsCheck.Problems(Configuration(new()
        {
            [$"{Section}:ConnectionString"] = Secret,
            ["OciRegistry:Storage:FileSystem:Root"] = "data",
        })).ShouldHaveSingleItem().ShouldContain("FileSystem and of AzureBlobs");
        SettingsCheck.Problems(Configuration(new() { [$"{Section}:Container"] = "images" }))
            .ShouldHaveSingleItem().ShouldContain("Set one of them to the storage account");
        SettingsCheck.Problems(Configuration(new()
        {
            [$"{Section}:ServiceUri"] = "https://a.blob.core.windows.net?sv=1&sig=c2VjcmV0",
            [$"{Section}:Redirect"] = "true",
        })).ShouldHaveSingleItem().ShouldContain("Redirect cannot be done with a SAS");
        SettingsCheck.Problems(Configuration(new()
        {
            [$"{Section}:ServiceUri"] = "https://a.blob.core.windows.net?sv=1&sig=c2VjcmV0",
            [$"{Section}:AccountKey"] = Key,
        })).ShouldHaveSingleItem().ShouldContain("Leave one of them out");
    }

    [Fact]
    public void An_embedding_application_hears_of_everything_that_is_wrong_at_once()
    {
        using var services = new ServiceCollection().AddLogging()
            .AddOciRegistry(registry => registry.UseAzureBlobs(options =>
            {
                options.ConnectionString = "AccountKey=c2VjcmV0";
                options.Container = "-";
                options.BlockSize = 1;
            }))
            .BuildServiceProvider();

        var problem = Should.Throw<OptionsValidationException>(services.GetRequiredService<IDocumentStore>);

        problem.Failures.Count().ShouldBe(3);
        problem.Message.ShouldNotContain("c2VjcmV0");
    }

    [Theory]
    [InlineData(503, "ServerBusy", true, "is throttled")]
    [InlineData(500, "InternalError", true, "answered 500")]
    [InlineData(403, "AuthenticationFailed", false, "refuses the registry (AuthenticationFailed)")]
    [InlineData(403, "AuthorizationPermissionMismatch", false, "role Storage Blob Data Contributor")]
    [InlineData(404, "ContainerNotFound", false, "is missing. Create it")]
    [InlineData(409, "InvalidBlobType", false, "blob of another kind")]
    [InlineData(409, "ContainerBeingDeleted", true, "answered 409")]
    public void A_failure_is_told_in_a_sentence_with_its_remedy(int status, string code, bool passes, string said)
    {
        var failure = new RequestFailedException(status, "the whole answer", code, null);
        AzureProblem.IsPassing(failure).ShouldBe(passes);
        var problem = AzureProblem.Describe(failure, "https://a.blob.core.windows.net/images");
        problem.ShouldContain("https://a.blob.core.windows.net/images");
        problem.ShouldContain(said);
        problem.ShouldNotContain("the whole answer");
    }

    private static ServiceProvider Services(params (string Name, string Value)[] settings)
    {
        var configuration = Configuration(settings.ToDictionary(s => $"{Section}:{s.Name}", s => (string?)s.Value));
        SettingsCheck.Problems(configuration).ShouldBeEmpty();
        return new ServiceCollection().AddLogging()
            .AddOciRegistry(registry => ServerConfiguration.Apply(configuration, registry)).BuildServiceProvider();
    }

    private static IConfigurationRoot Configuration(Dictionary<string, string?> settings) =>
        new ConfigurationBuilder().AddInMemoryCollection(settings).Build();
}
