using System.Globalization;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using OciRegistry.Auth;
using OciRegistry.Tests.Auth;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Operations;

/// <summary>What an operator must be told of files and keys that are not what they should be.</summary>
public sealed class FileMetricsTests
{
    private readonly ManualTimeProvider _time = new();

    [Fact]
    public async Task A_file_that_is_rejected_is_a_metric_until_it_is_accepted_again()
    {
        using var folder = new AuthFolder();
        const string policies = """{"policies":[]}""";
        folder.SetPolicies(policies);
        folder.SetKeys(AuthFolder.NewKey());
        await using var registry = await StartAsync(options => folder.Configure(options.Auth));
        await IsAsync("policies", 0);
        await IsAsync("users", 0);
        await IsAsync("signing_keys", 0);

        folder.SetPolicies("{");
        await IsAsync("policies", 1);
        await IsAsync("users", 0);
        folder.SetPolicies(policies); // as it was
        await IsAsync("policies", 0);

        File.Delete(folder.Htpasswd);
        await IsAsync("users", 1);
        folder.SetUsers(("alice", "a"));
        await IsAsync("users", 0);

        await File.WriteAllTextAsync(folder.SigningKeys, "broken");
        await IsAsync("signing_keys", 1);

        Task IsAsync(string file, double value) => Until.TrueAsync(
            async () =>
            {
                _time.Advance(AuthFilesService.Interval);
                return await ValueAsync(registry, "oci_registry_settings_rejected", "file", file) == value;
            },
            $"{file} is {value}");
    }

    [Fact]
    public async Task The_age_of_an_issuers_keys_and_that_they_cannot_be_read_are_metrics()
    {
        await using var provider = await FakeProvider.StartAsync();
        await using var registry = await StartAsync(options => provider.Configure(options.Auth, "idp"));
        (await ValueAsync(registry, "oci_registry_issuer_keys_age_seconds", "issuer", "idp")).ShouldBeNull("they were never read");

        await AskAsync();
        await IsAsync("oci_registry_issuer_keys_failing", 0);
        await IsAsync("oci_registry_issuer_keys_age_seconds", 0);

        provider.State = ProviderState.Failing;
        _time.Advance(TimeSpan.FromMinutes(50));
        await IsAsync("oci_registry_issuer_keys_age_seconds", 3_000);
        await IsAsync("oci_registry_issuer_keys_failing", 0); // nobody has tried

        _time.Advance(TimeSpan.FromMinutes(50));
        await AskAsync();
        await IsAsync("oci_registry_issuer_keys_failing", 1);
        await IsAsync("oci_registry_issuer_keys_age_seconds", 6_000);

        provider.State = ProviderState.Up;
        _time.Advance(TimeSpan.FromHours(2));
        await AskAsync();
        await IsAsync("oci_registry_issuer_keys_failing", 0);
        await IsAsync("oci_registry_issuer_keys_age_seconds", 0);

        async Task AskAsync()
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, "/v2/");
            request.Headers.Authorization = GuardedRegistry.Bearer(provider.Token("someone", ("jti", Guid.NewGuid().ToString())));
            using var answer = await registry.Http.SendAsync(request);
        }

        Task IsAsync(string metric, double value) => Until.TrueAsync(
            async () => await ValueAsync(registry, metric, "issuer", "idp") == value, $"{metric} is {value}");
    }

    private Task<RegistryApp> StartAsync(Action<OciRegistryOptions> options) => RegistryApp.StartAsync(
        options, services => services.Replace(ServiceDescriptor.Singleton<TimeProvider>(_time)));

    private static async Task<double?> ValueAsync(RegistryApp registry, string metric, string label, string value)
    {
        var text = await registry.Http.GetStringAsync(new Uri("/metrics", UriKind.Relative));
        var line = text.Split('\n').SingleOrDefault(line => line.StartsWith($"{metric}{{{label}=\"{value}\"}} ", StringComparison.Ordinal));
        return line is null ? null : double.Parse(line.Split(' ')[^1], CultureInfo.InvariantCulture);
    }
}
